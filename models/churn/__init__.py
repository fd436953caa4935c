"""models.churn.classifier."""
