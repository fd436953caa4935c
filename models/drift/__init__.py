"""models.drift."""
