"""Weights of signal groups in a segment, and their intervals."""
