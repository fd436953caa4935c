"""The control panel: the scores of a store, for people who act on them, in a browser."""
