"""pipelines.dashboard.access."""
