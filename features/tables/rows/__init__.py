"""Which rows count: those a configuration keeps, each once, and until when a contract runs."""
