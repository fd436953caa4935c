"""Weights pages: what to change, and sliders that replay other weights."""
