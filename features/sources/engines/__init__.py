"""Engines: what holds and computes the tables, and how each compiles expressions."""
