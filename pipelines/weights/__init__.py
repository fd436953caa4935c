"""pipelines.weights."""
