"""One account's risk over a year."""
