"""A project: its configuration, its company's tables, and feature rows."""
