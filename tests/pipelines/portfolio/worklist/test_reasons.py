"""Reasons that can be acted on: one of each fact, none of the calendar, and by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from features.catalog import Signal
from pipelines.portfolio.worklist.calls import sentences
from pipelines.portfolio.worklist.facts import Facts
from pipelines.portfolio.worklist.reasons import fact_of, reasons_of


@dataclass(frozen=True)
class Model:
    signals: tuple[Signal, ...]
    good: bool = False

    @property
    def scale(self) -> SimpleNamespace:
        return SimpleNamespace(good=self.good)


def signal(name: str, group: str, said: str = "{value} of it") -> Signal:
    return Signal(name, group, "count", "higher", name, None, said)  # type: ignore[arg-type]


SIGNALS = (
    signal("tickets_open", "support", "{value} ticket{s} open now"),
    signal("oldest_open_ticket", "support"),
    signal("usage_28d", "usage"),
    signal("usage_change_90d", "usage"),
    signal("renewal_due", "profile"),
    signal("overdue_amount", "payments"),
)


def row(*reasons: tuple[str, float, str | None]) -> dict[str, Sequence[object]]:
    return {
        "reason_signals": [one[0] for one in reasons],
        "reason_points": [one[1] for one in reasons],
        "reason_values": [one[2] for one in reasons],
    }


def test_of_one_fact_the_largest_reason_is_told() -> None:
    told = reasons_of(
        Model(SIGNALS),  # type: ignore[arg-type]
        row(
            ("renewal_due", -30.0, "1"),
            ("tickets_open", -9.0, "3"),
            ("oldest_open_ticket", -8.0, "40"),
            ("usage_change_90d", -7.0, "2"),
            ("usage_28d", -6.0, "1"),
            ("overdue_amount", 5.0, "0"),
        ),
    )
    assert [one.signal for one in told] == ["tickets_open", "usage_change_90d"]
    assert told[0].sentence == "3 tickets open now: −9.0 points"
    assert told[0].said == "3 tickets open now"


def test_of_a_good_outcome_what_brings_points_is_told_and_has_no_play() -> None:
    told = reasons_of(
        Model(SIGNALS, good=True),  # type: ignore[arg-type]
        row(("tickets_open", -9.0, "3"), ("usage_28d", 6.0, "4")),
    )
    assert [(one.signal, one.answered) for one in told] == [("usage_28d", False)]


def test_without_its_model_a_reason_has_the_name_of_its_signal() -> None:
    (told,) = reasons_of(None, row(("x_y", -1.25, None), ("z", 3.0, None)))
    assert (told.sentence, told.group, told.answered) == ("x_y: −1.2 points", None, False)


def test_facts_stand_once_beside_the_first_reason_they_belong_to() -> None:
    told = reasons_of(
        Model((*SIGNALS, signal("csat", "support"))),  # type: ignore[arg-type]
        row(("tickets_open", -9.0, "3"), ("csat", -4.0, "1"), ("usage_28d", -3.0, "1")),
    )
    facts = Facts(tickets="T-1, open 4 days", features="exports (3 times)")
    assert sentences(told, facts) == [
        "3 tickets open now: −9.0 points (T-1, open 4 days)",
        "1 of it: −4.0 points",
        "1 of it: −3.0 points (exports (3 times))",
    ]
    # When value was first seen is no matter of what was given up lately.
    first = Model((signal("days_to_first_value", "adoption"),))
    told = reasons_of(first, row(("days_to_first_value", -2.0, "9")))  # type: ignore[arg-type]
    assert sentences(told, facts) == ["9 of it: −2.0 points"]


@pytest.mark.parametrize(
    ("names", "fact"),
    [
        (["usage_7d", "usage_365d", "usage_change", "usage_decline_streak"], "usage"),
        (["active_days_28d", "days_since_use"], "usage"),
        (["active_users_28d", "active_users_change", "seat_utilisation"], "active_users"),
        (["features_used_28d", "features_used_change", "rarest_feature_90d"], "features_used"),
        (["features_used_90d", "key_features_used_90d"], "features_used"),
        (["tickets_open", "oldest_open_ticket"], "tickets_open"),
        (["tickets_opened_30d", "tickets_opened_change", "repeat_tickets_90d"], "tickets_opened"),
        (["overdue_invoices", "overdue_days", "overdue_amount"], "overdue"),
        (["nps_last", "nps_trend"], "nps"),
        (["csat_last"], "csat"),
        (["ticket_csat_180d"], "ticket_csat"),
        (["feature_reports_28d", "feature_reports_90d"], "feature_reports"),
        (["feature_search_28d"], "feature_search"),
    ],
)
def test_signals_of_one_fact_have_one_name(names, fact) -> None:
    assert {fact_of(name) for name in names} == {fact}
