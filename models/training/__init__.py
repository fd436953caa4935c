"""models.training.fit."""
