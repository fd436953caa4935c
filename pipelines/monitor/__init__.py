"""Monitoring: drift checks, alerts, retraining and the history of champions."""
