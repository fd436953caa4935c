"""Tables with a column for every month, and files of objects in JSON: drafted and read."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import pytest

from features.errors import DataError
from features.sources.opening import open_source
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft

WIDE = """\
kunde,name,mrr_2024_01,mrr_2024_02,mrr_2024_03,mrr_2024_04,mrr_2024_05,mrr_2024_06
K1,one,10,10,10,10,10,10
K2,two,,20,20,,,20
K3,three,,,,30,40,
K4,four,5.5,,,,,
K5,five,0,0,7,7,7,7
K6,six,,,8,8,8,8
"""
CONTRACTS = [
    ("K1", 1, None, 10.0),
    ("K2", 2, 4, 20.0),
    ("K2", 6, None, 20.0),
    ("K3", 4, 5, 30.0),
    ("K3", 5, 6, 40.0),
    ("K4", 1, 2, 5.5),
    ("K5", 3, None, 7.0),
    ("K6", 3, None, 8.0),
]


def test_months_side_by_side_become_contracts_and_json_lines_become_use(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "umsatz.csv").write_text(WIDE)
    events = [
        {
            "kunde": f"K{1 + n % 6}",
            "when": f"2024-0{1 + n % 6}-1{n % 9}T08:00:00Z",
            "seen": {"n": n},
        }
        for n in range(60)
    ]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (data / "logins.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    _, doubts = write_draft(data, tmp_path / "d.toml")
    assert doubts[0] == (
        "umsatz has a column for every month: an amount over the months that follow one another is"
        " a contract; check that it is what was paid"
    )
    project = load_project(tmp_path / "d.toml")
    # What each month brought is no attribute of every date.
    assert project.settings.tables.accounts.attributes == ()
    with open_company(project) as company:
        found = company.tables["subscriptions"].cleaned.order_by("account_id", "started_at")
        rows = found.select("account_id", "started_at", "ended_at", "mrr").to_pyarrow().to_pylist()
        assert [tuple(row.values()) for row in rows] == [
            (account, datetime(2024, first, 1), last and datetime(2024, last, 1), mrr)
            for account, first, last, mrr in CONTRACTS
        ]
        assert company.quality["usage_events"].rows == 60
        assert company.quality["usage_events"].accounts == 6


def test_lines_that_are_no_json_are_named(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text('{"a": 1}\n{"a": \n')
    with (
        pytest.raises(
            DataError, match=r"events[.]ndjson' cannot be read as JSON, an object a line:"
        ),
        open_source(str(tmp_path), tmp_path) as source,
    ):
        source.table("events", "")
