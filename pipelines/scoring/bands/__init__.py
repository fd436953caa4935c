"""Bands that do not flip: what an account's band becomes, given the one it was in."""
