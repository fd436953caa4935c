"""Experiments: hold-outs drawn by chance, a ledger of them, and readings at any time."""
