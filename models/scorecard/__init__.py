"""models.scorecard.scorecard."""
