"""The terminal: tables, sentences, progress, and files put in place whole."""
