"""pipelines.store.opening."""
