"""Changes between two runs, beside a comparison of their rows by hand, in every store."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from tests.pipelines.issued import STORES, batch, fresh, issue

TOLD = ("segment", "band", "score", "probability", "mrr")


@pytest.fixture(scope="module", params=STORES)
def project(request, tmp_path_factory):
    server = request.getfixturevalue("server") if request.param == "postgres" else None
    made = fresh(request.param, tmp_path_factory, server)
    names = ["A", "a/b", "é", "İ", "o'x", "Z"]
    issue(made, batch(names[:5]), key=RunKey("main", date(2025, 1, 1), "1"))
    same = batch(names[:5]).to_pylist()
    later = batch(names[1:], seed=1).to_pylist()
    # One that stays as it was, and one whose MRR comes to be known alone.
    for number, row in enumerate(later):
        if row["account_id"] in ("é", "İ"):
            later[number] = {**same[[one["account_id"] for one in same].index(row["account_id"])]}
            later[number]["mrr"] = 77.0 if row["account_id"] == "İ" else later[number]["mrr"]
    schema = batch(["A"]).schema
    issue(
        made, pa.RecordBatch.from_pylist(later, schema), key=RunKey("main", date(2025, 2, 1), "1")
    )
    return made


def by_hand(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    told = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            told[name] = ("new" if old is None else "gone",)
        elif any(old[one] != new[one] for one in TOLD):
            told[name] = ("changed",)
        else:
            continue
        told[name] += (new and new["score"], old and old["score"], old and old["band"])
    return told


def test_what_differs_is_told_page_by_page(project) -> None:
    with open_store(project, read_only=True) as store:
        first, second = store.runs()
        rows = [
            {row["account_id"]: row for row in store.scores(run).read_all().to_pylist()}
            for run in (first, second)
        ]
        expected = by_hand(*rows)
        assert {kind for kind, *_ in expected.values()} == {"new", "changed", "gone"}
        assert "é" not in expected
        told: list[dict[str, Any]] = []
        while page := store.changes(
            first, second, size=2, after=told[-1]["account_id"] if told else None
        ).to_pylist():
            assert len(page) <= 2
            told += page
        assert len({row["account_id"] for row in told}) == len(told)
        assert expected == {
            row["account_id"]: (
                row["kind"],
                row["score"],
                row["score_before"],
                row["band_before"],
            )
            for row in told
        }
        mine = store.changes(first, second, size=9, accounts=["A", "é", "nobody"]).to_pylist()
        assert [row["account_id"] for row in mine] == ["A"]
        assert store.changes(first, second, size=9, accounts=[]).num_rows == 0
        assert store.changes(second, second, size=9).num_rows == 0
        everything = store.changes(None, second, size=9).to_pylist()
        assert {row["kind"] for row in everything} == {"new"}
        assert {row["account_id"] for row in everything} == rows[1].keys()
