"""features.signals."""
