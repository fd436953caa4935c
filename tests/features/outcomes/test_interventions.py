"""Which rows were treated, against a loop over every row and every intervention."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.outcomes.interventions import Acts, acts_after, treated_rows
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


def acts(company: Any, frame: pd.DataFrame, **given: Any) -> Acts:
    found = acts_after(company, frame, **{"within_days": 7, **given})
    assert found is not None
    return found


def logged(rows: list[tuple[str, datetime, str]]) -> dict[str, Any]:
    plays = pd.DataFrame(rows, columns=["account_id", "occurred_at", "play"])
    plays["occurred_at"] = plays["occurred_at"].astype("datetime64[us]")
    return {"accounts": ACCOUNTS, "subscriptions": TERMS, "interventions": plays}


def test_acts_are_those_soon_after_the_date(company_quick) -> None:
    chance = Random(5)
    edges = [timedelta(days=days) for days in (-91, -31, -30, -1, 0, 3, 6.99, 7, 8)]
    rows = [
        (chance.choice(NAMES), day + edge, chance.choice(["call", "visit"]))
        for day in DATES
        for edge in edges
        for _ in range(2)
    ]
    frame = frame_of(NAMES)
    found = acts(company_quick(logged(rows)), frame)
    distinct = {(who, when.date(), play): (who, when, play) for who, when, play in rows[::-1]}
    for place, row in enumerate(frame.itertuples()):
        apart = [
            ((when - row.observation_date.to_pydatetime()) / timedelta(days=1), play)
            for who, when, play in distinct.values()
            if who == row.account_id
        ]
        for play in ("call", "visit"):
            soon = [days for days, name in apart if name == play and 0 <= days < 7]
            day = found.days[play][place]
            assert day == pytest.approx(min(soon)) if soon else np.isnan(day)
        before = found.before.iloc[place]
        for span in (30, 90):
            past = [days for days, _ in apart if -span <= days < 0]
            assert before[f"acts_{span}_days"] == len(past)
        past = [-days for days, _ in apart if -365 <= days < 0]
        since = before["days_since_act"]
        assert since == pytest.approx(min(past)) if past else np.isnan(since)


def test_one_call_logged_twice_is_one_and_names_are_read_as_people_do(company_quick) -> None:
    day = DATES[0] + timedelta(days=1)
    twice = [("A", day, "Call"), ("A", day + timedelta(hours=2), " call "), ("B", day, "Phone")]
    found = acts(company_quick(logged(twice)), frame_of(["A", "B"]), renamed={"phone": "CALL"})
    assert set(found.days) == {"call"}
    assert np.flatnonzero(~np.isnan(found.days["call"])).tolist() == [0, 1]
    later = acts(company_quick(logged(twice)), frame_of(["A", "B"]))
    assert later.before["acts_90_days"].tolist() == [0, 0, 1, 1, 1, 1]


def test_what_cannot_count_is_told(company_quick) -> None:
    rows = [
        ("A", datetime(2022, 6, 1), "call"),
        ("A", datetime(2025, 6, 1), "call"),
        ("A", DATES[0], "call"),
    ]
    found = acts(company_quick(logged(rows)), frame_of(["A"]))
    assert found.notes == (
        "1 of 3 interventions are dated before the account was made, and count for nothing",
        "1 of 3 interventions are dated later than a month after the account's last date with a"
        " known outcome, and count for nothing",
    )
    assert np.flatnonzero(~np.isnan(found.days["call"])).tolist() == [0]


def test_doubles_and_a_likely_rename_are_told(company_quick) -> None:
    days = [DATES[0] + timedelta(days=7 * number) for number in range(24)]
    rows = [("A", day, "Phone" if place < 12 else "call") for place, day in enumerate(days)]
    seldom = [("A", days[20] + timedelta(days=1), "visit")]
    told = acts(company_quick(logged(rows + rows[:3] + seldom)), frame_of(["A"])).notes
    assert told[-2:] == (
        "3 of 28 interventions say again what was logged of the account for that day, and count"
        " once",
        f"'phone' was last made on {days[11]:%Y-%m-%d} and 'call' first on {days[12]:%Y-%m-%d}:"
        " if it is one play under two names, say so under [plays.renamed]",
    )
    renamed = acts(company_quick(logged(rows)), frame_of(["A"]), renamed={"phone": "call"})
    assert not any("[plays.renamed]" in note for note in renamed.notes)


def test_a_landmark_is_the_day_by_which_nine_of_ten_acts_were_made() -> None:
    days = np.append(np.linspace(0.1, 2.9, 95), [6.5, np.nan])
    assert Acts({"call": days}, pd.DataFrame(), ()).landmark == 3
    assert Acts({}, pd.DataFrame(), ()).landmark == 0


def test_a_late_record_is_no_earlier_act(company_of) -> None:
    rows = logged([("A", DATES[0] - timedelta(days=2), "call")])
    rows["interventions"]["recorded_at"] = datetime(2024, 2, 15)
    found = acts(company_of(rows), frame_of(["A"]))
    assert found.before["acts_90_days"].tolist() == [0, 0, 1]
