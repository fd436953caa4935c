"""Measures of a model: discrimination, calibration, losses and fairness."""
