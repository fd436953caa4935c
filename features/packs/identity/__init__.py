"""Identity: which account a key of another system belongs to."""
