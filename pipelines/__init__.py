"""What a person or a scheduler runs."""
