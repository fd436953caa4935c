"""Files that are called alike but for a month hold the parts of one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.sources.files.listing import parts_by_table
from features.sources.opening import open_source


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_files_of_months_are_read_as_one_table_beside_their_own(tmp_path: Path, kind: str) -> None:
    rows = {"2024-01": [{"who": "007", "n": 1}], "2024-02": [{"who": "008", "n": 2, "more": "x"}]}
    for month, told in rows.items():
        lines = [",".join(told[0]), *(",".join(map(str, row.values())) for row in told)]
        text = lines if kind == "csv" else [json.dumps(row) for row in told]
        (tmp_path / f"plans_{month}.{kind}").write_text("\n".join(text) + "\n", encoding="utf-8")
    with open_source(str(tmp_path), Path()) as source:
        assert [*source.tables] == ["plans", "plans_2024-01", "plans_2024-02"]
        read = source.tables["plans"].order_by("who").execute()
        assert read["who"].tolist() == ["007", "008"]
        assert [str(day)[:10] for day in read["file_known_from"]] == ["2024-02-01", "2024-03-01"]
        assert read["more"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("column", "known"),
    [
        # What its file's month has no such day of is known once the month is over.
        ("exported_at", ["2024-01-06", "2024-03-01", "2024-04-01"]),
        # Where nobody came for weeks the file still tells what was so at the month's end.
        ("last_seen", ["2024-02-01", "2024-03-01", "2024-04-01"]),
    ],
)
def test_a_file_is_known_once_it_was_written(tmp_path: Path, column: str, known: list[str]) -> None:
    for month, last in ((1, "2024-01-05"), (2, "2024-01-20"), (3, "2024-03-31")):
        text = f"who,{column}\nA,{last}\nB,2023-11-01\n"
        (tmp_path / f"plans_2024-{month:02}.csv").write_text(text, encoding="utf-8")
    with open_source(str(tmp_path), Path()) as source:
        days = source.tables["plans"].file_known_from.execute().astype(str).unique().tolist()
    assert sorted(days) == known


@pytest.mark.parametrize(
    "names",
    [
        ["plans_2024-01"],
        ["plans", "plans_2024-01", "plans_2024-02"],
        ["plans_2024", "plans_2024-02"],
        ["plans_2024-02-30", "plans_2024-02-31"],
        ["v1", "v2"],
    ],
)
def test_other_names_are_parts_of_nothing(names: list[str]) -> None:
    assert parts_by_table(names) == {}
