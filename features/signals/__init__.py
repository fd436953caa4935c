"""Signals: one file per signal group, each with its catalogue and its expressions."""
