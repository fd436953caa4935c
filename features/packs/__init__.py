"""Packs: declared layouts of vendors' exports, and how they become contract tables."""
