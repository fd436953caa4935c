"""features.outcomes.labels."""
