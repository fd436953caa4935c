"""A check of a made-up champion, for pages and screens: quick, and with hostile names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

from features.catalog import Signal
from features.tables.last_rows import Freshness
from models.drift.decision import Decision, decide, noticed
from models.drift.feed_faults import Fault
from models.drift.performance import expected_change, expected_performance, matured_performance
from models.drift.policy import DriftPolicy
from models.drift.reference import fit_reference, frame_histograms
from models.drift.statistics import drift_statistics
from models.registry.checks import MonitorRecord
from models.registry.versions import ChampionReference
from pipelines.monitor.band_moves import BandMove, BandMoves
from pipelines.monitor.findings import Findings
from pipelines.monitor.monitor import Monitored, Since
from pipelines.monitor.retrain import Retrained

HOSTILE = ["<script>alert(1)</script>", '=HYPERLINK("http://x","y")', "\u202eRTL עברית", "L" * 300]
AS_OF, TRAINED = date(2026, 3, 1), date(2025, 12, 1)
ACCOUNTS, DATES = 1200, 6
SIGNALS = (
    Signal("usage_28d", "usage", "count", "higher", "Usage volume", 28, "{value} uses"),
    Signal("usage_90d", "usage", "count", "higher", "Usage volume", 90, "{value} uses"),
    Signal("tickets", "support", "count", "lower", HOSTILE[0], 90, "{value} tickets"),
    Signal("overdue", "payments", "days", "lower", "Overdue <b>days</b>", None, "{value} overdue"),
    Signal("plan", "profile", "category", "none", "Plan", None, "Plan is {value}"),
    Signal("nps", "surveys", "score", "higher", "NPS", 90, "NPS of {value}"),
)
WEIGHTS = {"usage_28d": 30.0, "usage_90d": 15.0, "tickets": 20.0, "overdue": 15.0}
WEIGHTS |= {"plan": 5.0, "nps": 15.0}


def _rows(day: date, seed: int, *, moved: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    segment = rng.choice([*HOSTILE, "plan=b"], ACCOUNTS, p=[0.3, 0.2, 0.2, 0.1, 0.2])
    hit = moved & (segment == HOSTILE[0])
    usage = rng.poisson(40, ACCOUNTS) * np.where(hit, 0.3, 1.0)
    risk = 1 / (1 + np.exp(2.2 + rng.normal(size=ACCOUNTS) - 0.8 * moved))
    return pd.DataFrame(
        {
            "account_id": [f"A{number}" for number in range(ACCOUNTS)],
            "observation_date": pd.Timestamp(day),
            "segment": segment,
            "usage_28d": usage,
            "usage_90d": usage * 3,
            "tickets": rng.poisson(0.7, ACCOUNTS).astype(float),
            "overdue": np.where(rng.random(ACCOUNTS) < 0.8, 0, rng.gamma(2, 9, ACCOUNTS)),
            "plan": rng.choice([HOSTILE[1], HOSTILE[3], None], ACCOUNTS, p=[0.5, 0.4, 0.1]),
            "nps": np.where(rng.random(ACCOUNTS) < (0.8 if moved else 0.4), np.nan, 7.0),
            "probability": risk,
            "score": np.clip(50 - 14.4 * np.log(risk / (1 - risk) / 0.1), 0, 100),
            "happened": (rng.random(ACCOUNTS) < np.where(moved, 1.6 * risk, risk)).astype(int),
        }
    )


@cache
def checked(*, moved: bool = True) -> Monitored:
    """Check a date on which usage fell in one segment and a survey was not answered, or none."""
    days = [date(2025, 5 + month, 1) for month in range(DATES)]
    learnt = pd.concat([_rows(day, n, moved=False) for n, day in enumerate(days)])
    reference = fit_reference(learnt, SIGNALS, learnt["segment"], score=learnt["score"])
    now = _rows(AS_OF, 99, moved=moved)
    current = frame_histograms(reference, now, now["segment"], score=now["score"])
    statistics = drift_statistics(reference, current, {"all": WEIGHTS}, AS_OF)
    before = tuple(
        expected_performance(rows["probability"]) for _, rows in learnt.groupby("observation_date")
    )
    later = _rows(date(2026, 1, 1), 98, moved=moved)
    findings = Findings(
        current=current,
        statistics=statistics,
        faults=(),
        feeds=[
            Freshness("usage_events", date(2026, 2, 28), 1.0, AS_OF),
            Freshness(HOSTILE[0], date(2025, 11, 3), 4.0, AS_OF),
            Freshness("surveys", None, 0.0, AS_OF),
        ],
        expected=expected_change(before, expected_performance(now["probability"])),
        matured=matured_performance(later),
        matured_dates=(date(2026, 1, 1),),
        notes=[],
    )
    policy = DriftPolicy()
    decision = decide(
        statistics,
        (),
        policy,
        trained_on=TRAINED,
        matured=findings.matured,
        expected=findings.expected,
    )
    found = noticed(statistics, policy)
    record = _record(3, AS_OF, decision, tuple((one.name, one.segment) for one in found))
    return Monitored(
        outcome="main",
        as_of=AS_OF,
        source="tables",
        model=cast(Any, SimpleNamespace(signals=SIGNALS, signal_weights={"all": WEIGHTS})),
        model_version="4",
        kept=ChampionReference(reference, before, TRAINED, frozenset({"accounts"})),
        findings=findings,
        noticed=found,
        since={(one.name, one.segment): Since(date(2026, 1, 1), date(2026, 2, 1)) for one in found},
        decision=decision,
        policy=policy,
        record=record,
        past=[
            _record(2, date(2026, 2, 1), decision, ()),
            _record(1, date(2026, 1, 1), decision, ()),
        ]
        if moved
        else [],
        warnings=[f"Something about {HOSTILE[1]}"] if moved else [],
    )


def broken() -> Monitored:
    """The same with faults of feeds, one of each kind."""
    kinds = ("stopped-table", "absent-column", "stopped-signal", "changed-unit", "renamed-levels")
    faults = tuple(
        Fault(
            cast(Any, kind),
            HOSTILE[number % 4] if number else "usage_events",
            ("usage_28d",),
            date(2026, 2, 1) if number else None,
            f"Repair {HOSTILE[number % 4]}.",
        )
        for number, kind in enumerate(kinds)
    )
    one = checked()
    decision = replace(
        one.decision,
        status="broken-feed",
        reasons=tuple(fault.sentence for fault in faults),
        faults=faults,
    )
    findings = replace(one.findings, faults=faults, expected=None, matured=())
    return replace(one, decision=decision, findings=findings)


def retrained(*, promoted: bool) -> Monitored:
    """The same after a retraining."""
    moves = [BandMove("healthy", "watch", 31)]
    result = Retrained(
        "main",
        champion="5" if promoted else "4",
        before="4",
        challenger="5",
        promoted=promoted,
        reasons=[f"Judged on 3 dates: it is no worse in {HOSTILE[0]}."],
        bands=BandMoves(AS_OF, ACCOUNTS, 31, moves) if promoted else None,
    )
    one = checked()
    decision = replace(one.decision, status="retrain")
    record = replace(one.record, status="retrain", challenger="5", promoted=promoted)
    return replace(one, retrained=result, decision=decision, record=record)


def _record(
    number: int, as_of: date, decision: Decision, drifted: tuple[tuple[str, str], ...]
) -> MonitorRecord:
    made = datetime(2026, 3, 1, 5, tzinfo=UTC) - timedelta(days=30 * (3 - number))
    status = decision.status if number == 3 else "ok"
    return MonitorRecord(number, made, "host", as_of, "4", status, ("why",), drifted, run_id="ab12")
