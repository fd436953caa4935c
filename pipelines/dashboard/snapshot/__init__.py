"""Snapshots: the newest run as the control panel reads it, paged and summed."""
