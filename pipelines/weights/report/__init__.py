"""The weights report: its sections and its sentences."""
