"""Columns that may be keys, of tables that have none."""

from __future__ import annotations

import ibis
import pandas as pd

from pipelines.setup.guessing import keys


def test_tables_without_a_column_that_may_be_a_key_are_passed_over() -> None:
    days = ibis.memtable({"first": pd.to_datetime(["2024-01-01"]), "second": [0.5]})
    texts = keys._texts(days)
    assert (len(texts), list(texts.columns)) == (0, [])
