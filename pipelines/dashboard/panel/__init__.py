"""What every page of the control panel stands on: the panel, and what it reads of models."""
