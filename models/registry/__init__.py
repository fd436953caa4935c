"""models.registry.models."""
