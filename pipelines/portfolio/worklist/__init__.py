"""The worklist: who is to be called, why, and what to do, alike on every page and in every file."""
