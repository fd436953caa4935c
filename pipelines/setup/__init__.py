"""Setting a project up: a drafted configuration, checks, the list of signals, the demo."""
