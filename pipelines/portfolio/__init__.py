"""The portfolio: what is at stake in an issued run, and whom to call first."""
