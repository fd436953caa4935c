"""Seals of issued runs."""
