"""Outcomes: the label of an account on a date, and where it is read from."""
