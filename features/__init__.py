"""What was known about an account on a date: signals and labels from source tables."""
