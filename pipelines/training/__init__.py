"""pipelines.training."""
