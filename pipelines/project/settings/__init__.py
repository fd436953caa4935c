"""Sections of the configuration file, one module each."""
