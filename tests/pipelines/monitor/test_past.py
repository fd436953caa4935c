"""What a check makes of the checks before it: waiting, since when, and clocks that are wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from models.drift.decision import Decision
from models.drift.policy import DriftPolicy
from models.registry.checks import MonitorRecord
from pipelines.monitor import monitor as monitoring
from pipelines.monitor.monitor import Since


def record(as_of: date, **facts) -> MonitorRecord:
    made = datetime(2026, 3, 1, 5, tzinfo=UTC)
    one = MonitorRecord(1, made, "host", as_of, "1", "retrain", ("why",))
    return replace(one, **facts)


def test_a_challenger_that_was_kept_cools_down_as_a_training_does() -> None:
    decided = Decision("retrain", ("why",), {})
    policy, day = DriftPolicy(cool_down_days=30), date(2026, 3, 1)
    tried = record(day, challenger="2", promoted=False)

    def status(after: int, *past: MonitorRecord) -> str:
        held = monitoring._held_back(decided, past, "1", day + timedelta(days=after), policy)
        return held.status

    assert status(0) == "retrain"
    assert (status(29, tried), status(30, tried)) == ("watch", "retrain")
    # Nothing was trained, another champion was, or it was promoted.
    assert status(5, record(day, promoted=False)) == "retrain"
    assert status(5, replace(tried, model_version="0")) == "retrain"
    assert status(5, replace(tried, promoted=True)) == "retrain"
    held = monitoring._held_back(decided, [tried], "1", day, policy)
    assert held.reasons == (
        "A challenger was trained on 2026-03-01 and not promoted: the next is trained 30 days later"
        " at the earliest.",
        "why",
    )


def test_since_when_goes_back_to_the_last_check_that_did_not_see_it() -> None:
    class Moved:
        name, segment = "nps", "all"

    pair, months = ("nps", "all"), [date(2026, month, 1) for month in range(1, 6)]
    seen = [(), (pair,), (pair,), (("nps", "plan=a"),)]

    def since(*drifted, version="1"):
        past = [
            record(day, number=number, drifted=what, model_version=version)
            for number, (day, what) in enumerate(zip(months, drifted, strict=False))
        ]
        return monitoring._since([Moved], past, "1", months[4], date(2025, 12, 1))[pair]

    assert since(*seen) == Since(months[3], months[4])
    assert since(*seen[:3]) == Since(months[0], months[1])
    assert since((pair,), (pair,)) == Since(date(2025, 12, 1), months[0])
    assert since() == Since(date(2025, 12, 1), months[4])
    assert since((pair,), (pair,), version="0") == Since(date(2025, 12, 1), months[4])


def test_clocks_and_feeds_that_go_backwards_or_stand_still_are_told() -> None:
    class Rows:
        as_of = date(2026, 3, 1)

    now = record(Rows.as_of)
    hour = timedelta(hours=1)

    def odd(*past):
        return monitoring._odd_times(Rows, past, now)

    assert odd() == []
    assert odd(record(Rows.as_of, made_at=now.made_at - hour)) == []
    assert odd(record(Rows.as_of, made_at=now.made_at - 24 * hour)) == [
        "The last check, at 2026-02-28 05:00 UTC, looked at 2026-03-01 too: where a newer day was"
        " expected, the feeds stand still"
    ]
    assert odd(record(date(2026, 4, 1), made_at=now.made_at + hour)) == [
        "The clock of 'host' stands at 2026-03-01 05:00 UTC, before the last check (2026-03-01"
        " 06:00): correct it",
        "An earlier check looked at 2026-04-01, and this one goes back to 2026-03-01",
    ]
