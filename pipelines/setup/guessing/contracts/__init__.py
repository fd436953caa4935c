"""Contracts of strangers: what is paid for them, how long they run, and who has left."""
