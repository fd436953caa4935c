"""pipelines.terminal.console."""
