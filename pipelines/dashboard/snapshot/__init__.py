"""pipelines.dashboard.snapshot.snapshot."""
