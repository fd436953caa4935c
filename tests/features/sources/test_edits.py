"""Edits between texts, by which a misspelt name finds the one that was meant, on every engine."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

MEANT = "sitting"
# DuckDB counts bytes: of letters outside of ASCII an engine may count fewer.
EDITS = {"kitten": 3, "": 7, "sitting": 0, "Sitting": 1, "sittingsitting": 7, None: None}


def test_they_are_counted_alike(load_on: Any) -> None:
    rows = load_on({"rows": pa.table({"name": list(EDITS)})}).tables["rows"]
    found = rows.mutate(edits=rows.name.levenshtein(MEANT), all=rows.name.levenshtein(""))
    assert {row["name"]: row["edits"] for row in found.to_pyarrow().to_pylist()} == EDITS
    assert all(
        row["all"] == (None if row["name"] is None else len(row["name"]))
        for row in found.to_pyarrow().to_pylist()
    )
