"""pipelines.dashboard.model."""
