"""Model pages: who serves, how good it is, and what was decided."""
