"""Weights of the scorecard: recommended, replayed, recorded and reported."""
