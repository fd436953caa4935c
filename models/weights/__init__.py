"""models.weights.weights."""
