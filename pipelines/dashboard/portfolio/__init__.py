"""Portfolio pages: what is at stake for a visitor, and the list of accounts."""
