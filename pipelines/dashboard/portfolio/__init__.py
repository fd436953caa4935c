"""Portfolio pages: what is at stake in the book that a visitor sees."""
