"""pipelines.project."""
