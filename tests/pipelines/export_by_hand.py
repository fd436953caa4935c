"""Issued runs made by hand, for tests of exports."""

from __future__ import annotations

import csv
import gc
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from features.catalog import Signal
from pipelines.project.project import Project
from pipelines.scoring.export import export_scores
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from pipelines.store.schema import SCORE_SCHEMA

CONFIG = '[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
SUFFIXES = (".csv", ".xlsx", ".parquet")
SIGNALS = {
    signal.name: signal
    for signal in (
        Signal("uses", "usage", "count", "higher", "Uses", 28, "{value} use{s} in 28 days"),
        Signal("change", "usage", "change", "higher", "Uses", 28, "Uses {value} in a month"),
        Signal("plan", "profile", "category", "none", "Plan", None, "Plan is {value}"),
    )
}
FIRST, SECOND = date(2025, 1, 1), date(2025, 2, 1)


def rows_of(accounts: list[str], **changed: Any) -> pa.RecordBatch:
    """Make scored rows whose numbers tell the account's place."""
    columns: dict[str, Any] = {}
    for number, field in enumerate(SCORE_SCHEMA):
        if field.type == pa.string():
            columns[field.name] = ["text"] * len(accounts)
        elif field.type == pa.float64():
            columns[field.name] = [number + place / 8 for place in range(len(accounts))]
    columns |= {
        "account_id": accounts,
        "points_usage": [-3.2] * len(accounts),
        "mrr": [None, *[1234.5] * (len(accounts) - 1)],
        "reason_signals": [["uses", "change", "plan"]] * len(accounts),
        "reason_points": [[-8.125, 2.5, 0.25]] * len(accounts),
        "reason_values": [["1.0", None, "=1+1\x00"]] * len(accounts),
    }
    return pa.RecordBatch.from_pydict(columns | changed, schema=SCORE_SCHEMA)


def issue(project: Project, rows: pa.RecordBatch, as_of: date = FIRST, version: str = "1") -> None:
    groups = {name: signal.group for name, signal in SIGNALS.items()} | {"gone": "usage"}
    with (
        open_store(project, read_only=False) as store,
        store.issue(RunKey(project.outcome_name, as_of, version), groups, force=True) as writer,
    ):
        writer.write(rows)
        writer.finish({"config_fingerprint": "abc"})


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def read_xlsx(file: Path, sheet: str = "Scores") -> list[dict[str, Any]]:
    book = openpyxl.load_workbook(file)
    names, *rows = book[sheet].iter_rows(values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def files_in(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.folder.iterdir() if path.is_file()}


def refusal(kind: type[BaseException], *given: Any, **options: Any) -> str:
    """What a refused export says; its traceback, which holds the store's rows, is let go."""
    with pytest.raises(kind) as refused:
        export_scores(*given, **options)
    said = str(refused.value)
    del refused
    gc.collect()
    return said
