"""pipelines.dashboard.account."""
