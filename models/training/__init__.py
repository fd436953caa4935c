"""Training: choices by rolling origins, the hold-out, and the search for parameters."""
