"""Commands about acting on scores: what was done, what it did, and experiments."""
