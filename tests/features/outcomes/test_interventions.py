"""Which rows were treated, against a loop over every row and every intervention."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.outcomes.interventions import treated_rows
from features.outcomes.labels import OutcomeSettings

DATES = [datetime(2024, month, 1) for month in (1, 2, 3)]
OUTCOME = OutcomeSettings(lead_days=14, horizon_days=30)
NAMES = ["A", "B", "it's; --", "[red]", "Ü"]
ACCOUNTS = pd.DataFrame({"account_id": NAMES, "created_at": datetime(2023, 1, 1)})
TERMS = pd.DataFrame({"account_id": NAMES, "started_at": datetime(2023, 1, 1)})


def frame_of(names: list[str]) -> pd.DataFrame:
    rows = [(name, day) for day in DATES for name in names]
    frame = pd.DataFrame(rows, columns=["account_id", "observation_date"])
    # Positions and labels of the index differ, as they do after rows were dropped.
    return frame.set_index(np.arange(len(frame)) * 3 + 5)


def tables(plays: list[tuple[str, datetime]]) -> dict[str, Any]:
    columns = ["account_id", "occurred_at"]
    moments = pd.DataFrame(plays, columns=columns).astype({"occurred_at": "datetime64[us]"})
    interventions = moments.assign(play="call", recorded_at=datetime(2030, 1, 1))
    return {"accounts": ACCOUNTS, "subscriptions": TERMS, "interventions": interventions}


def test_a_row_is_treated_until_its_window_closes(company_quick) -> None:
    chance = Random(3)
    edges = [timedelta(days=days) for days in (-1, 0, 13, 14, 43, 44, 45)]
    nudges = [timedelta(microseconds=step) for step in (-1, 0, 1)]
    plays = [
        (chance.choice([*NAMES[:-1], "ghost"]), day + edge + nudge)
        for day in DATES
        for edge in edges
        for nudge in nudges
    ]
    frame = frame_of(NAMES)
    treated = treated_rows(company_quick(tables(plays)), OUTCOME, frame)
    expected = [
        any(
            who == row.account_id
            and timedelta()
            <= when - row.observation_date.to_pydatetime()
            # The first moment after 14 days of lead and 30 of horizon is outside.
            < timedelta(days=44)
            for who, when in plays
        )
        for row in frame.itertuples()
    ]
    assert treated is not None
    assert treated.dtype == bool
    assert treated.tolist() == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize("count", [0, 2])
def test_a_row_is_marked_once_however_often_it_was_treated(company_of, count: int) -> None:
    plays = [("A", DATES[0] + timedelta(days=1))] * count
    treated = treated_rows(company_of(tables(plays)), OUTCOME, frame_of(["A", "B"]))
    assert treated is not None
    assert treated.tolist() == [count > 0, False, False, False, False, False]


def test_without_records_nobody_knows(company_of) -> None:
    recorded = tables([])
    del recorded["interventions"]
    assert treated_rows(company_of(recorded), OUTCOME, frame_of(["A"])) is None
