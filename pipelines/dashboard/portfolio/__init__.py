"""pipelines.dashboard.portfolio."""
