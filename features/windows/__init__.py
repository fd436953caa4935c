"""features.windows."""
