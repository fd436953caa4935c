"""Which rows were acted on: what judges a model, and what monitoring tells apart."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from features.tables.company import Company
from models.drift.performance import matured_performance
from models.training.coding import code_frame
from models.training.splits import left_alone
from pipelines.monitor.findings import success
from pipelines.project import rows as module
from pipelines.project.project import load_project
from pipelines.project.rows import LabelledRows, with_acts

FRAME = pd.DataFrame(
    {
        "account_id": list("abcdefgh"),
        "observation_date": pd.Timestamp("2024-03-01"),
        "happened": [1, 1, 1, 1, 0, 0, 0, 0],
        "value": range(8),
    }
)
ROWS = LabelledRows(code_frame(FRAME), (), 44, True, date(2024, 1, 1), date(2024, 8, 1), {})


def acts_of(monkeypatch: pytest.MonkeyPatch, acted: Any, small: Any) -> LabelledRows:
    monkeypatch.setattr(module, "acted_soon", lambda *given: acted)
    return with_acts(load_project(small()), cast(Company, None), ROWS)


def test_rows_that_were_acted_on_are_marked(monkeypatch, small) -> None:
    acted = np.array([0, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    found = acts_of(monkeypatch, acted, small)
    assert "".join(found.frame["account_id"][left_alone(found.frame)]) == "acdfgh"
    assert found.frame["acted_on"].tolist() == acted.tolist()
    assert len(found.frame) == 8
    [note] = found.notes
    assert note == (
        "2 of 8 rows were acted on within 7 days: they teach as all others do, and those left alone"
        " judge the model"
    )


@pytest.mark.parametrize("acted", [None, np.zeros(8, dtype=bool)])
def test_where_nobody_acts_nothing_changes(monkeypatch, small, acted) -> None:
    found = acts_of(monkeypatch, acted, small)
    assert found is ROWS
    assert left_alone(found.frame).all()


def test_where_nearly_all_were_acted_on_it_says_what_cannot_be_known(monkeypatch, small) -> None:
    everybody = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    found = acts_of(monkeypatch, everybody, small)
    assert "acted_on" not in found.frame
    assert "Of 4 rows with the outcome 4 had been acted on" in found.notes[0]


def matured(rows: int, happened: int, probability: float) -> Any:
    frame = pd.DataFrame(
        {
            "account_id": [f"A{place}" for place in range(rows)],
            "segment": "all",
            "probability": probability,
            "happened": (np.arange(rows) < happened).astype(int),
        }
    )
    return matured_performance(frame)[0]


def test_success_is_told_and_is_no_drift() -> None:
    alone = matured(400, 40, 0.1)
    assert success(matured(40, 2, 0.4), alone) == (
        "Fewer churned than expected because 14 acted-on accounts stayed: of 40 accounts acted on 2"
        " churned and 16 were expected to if nobody acted; they are judged apart"
    )
    off = matured(400, 120, 0.1)
    for beside in (off, None):
        assert "and those left alone are not as expected either" in success(
            matured(40, 2, 0.4), beside
        )
    assert success(matured(40, 20, 0.4), alone).startswith("Of 40 accounts acted on 20 churned")
