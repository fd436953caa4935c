"""pipelines.reports.figures."""
