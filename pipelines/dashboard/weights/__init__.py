"""pipelines.dashboard.weights."""
