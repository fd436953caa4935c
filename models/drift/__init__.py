"""Drift: reference, statistics and their nulls, feed faults, and the decision."""
