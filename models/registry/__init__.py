"""The registry: versions of a model in MLflow, champions, promotions and their records."""
