"""pipelines.dashboard.web."""
