"""Figures of reports and of the registry, drawn by matplotlib."""
