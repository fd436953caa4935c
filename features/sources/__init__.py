"""features.sources.source."""
