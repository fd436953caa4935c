"""models.measures."""
