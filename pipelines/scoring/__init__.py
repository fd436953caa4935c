"""Scoring: issue, verify, explain, follow and export scores."""
