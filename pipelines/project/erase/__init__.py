"""All that is known of an account or a person: shown to whoever asks, and erased."""
