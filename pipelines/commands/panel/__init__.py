"""Commands of the control panel: serving it, and who and what may enter."""
