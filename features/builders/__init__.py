"""Builders: what turns tables into signals, and the settings and rules they obey."""
