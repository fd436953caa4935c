"""pipelines.portfolio.portfolio."""
