"""What a draft is put together from: its fixed parts, its place, and TOML text."""
