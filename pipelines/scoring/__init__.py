"""pipelines.scoring."""
