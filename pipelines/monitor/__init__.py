"""pipelines.monitor.monitor."""
