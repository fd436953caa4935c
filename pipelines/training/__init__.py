"""Training a champion, searching parameters for it, and backtesting it."""
