"""pipelines.weights.report."""
