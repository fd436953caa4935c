"""pipelines.setup."""
