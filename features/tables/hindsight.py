"""What is known today of the past: outcomes are read from it, signals never."""

from __future__ import annotations

from dataclasses import replace

from features.tables.cleaning import CleanTable


def in_hindsight(table: CleanTable) -> CleanTable:
    """Return a table whose rows count from their own time on, however late they were recorded."""
    if not table.has("recorded_at"):
        return table
    return replace(table, cleaned=table.cleaned.drop("recorded_at"))
