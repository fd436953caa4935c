"""Faults of a feed, told apart from changed behaviour: what stopped, what is counted otherwise."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np

from features.catalog import Group, Signal
from features.errors import sample
from features.json_values import JsonReady
from features.tables.last_rows import Freshness
from models.arrays import Codes, Floats
from models.drift.reference import LEVELS, Counts, Histograms, Reference

FaultKind = Literal[
    "no-rows",
    "absent-column",
    "stopped-table",
    "stopped-data",
    "stopped-signal",
    "changed-unit",
    "renamed-levels",
]
TABLES: Mapping[Group, str] = {
    "usage": "usage_events",
    "adoption": "usage_events",
    "support": "tickets",
    "payments": "invoices",
    "referrals": "referrals",
    "surveys": "surveys",
    "enablement": "trainings",
    "relationship": "ratings",
    "profile": "accounts",
}
"""Source table that a signal group is mainly built from."""

# Everybody has the same value, where formerly not nearly everybody had.
SAME, FORMERLY = 0.98, 0.8
LEAST_ROWS = 20
# A distribution moves this far before a second look is worth its time.
SUSPECT_PSI = 0.2
# Days are counted between moments and a change is a ratio: neither has a unit a feed could change.
MEASURED = ("count", "score", "share", "money")
# Factors between units of time, bytes, currency units and shares; and one behaviour never has.
CONVERSIONS = (4.35, 7.0, 12.0, 24.0, 30.4, 52.2, 60.0, 100.0, 365.25, 1e3, 3600.0, 86400.0)
CLOSE, LEAST_FACTOR, BEYOND_BEHAVIOUR = 0.15, 3.5, 20.0
# Kolmogorov's 1 % bound in standard errors, and what is natural beside chance.
KOLMOGOROV, NATURAL = 1.63, 0.06
# Shares of names: one that counts, one that is gone, and how alike two must be.
LEVEL_SHARE, GONE, ALIKE = 0.03, 0.1, 0.04


@dataclass(frozen=True)
class Suspects:
    """Signals that moved so far that a second look should tell why."""

    numbers: tuple[str, ...]
    names: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names)


@dataclass(frozen=True)
class SecondLook:
    """What is fetched for suspects.

    Parameters
    ----------
    quantiles : dict of str to ndarray of shape (n_segments, n_levels)
        Of non-zero values, at :data:`models.drift.reference.LEVELS`.
    levels : dict of str to dict of str to int
        Rows of the most frequent names.
    """

    quantiles: Mapping[str, Floats] = field(default_factory=dict)
    levels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault(JsonReady):
    """A fault of a feed.

    Parameters
    ----------
    kind : str
        What happened.
    table : str or None
        Table to look at.
    signals : tuple of str
        Signals it shows in.
    since : date or None
        First day without, where it can be known.
    sentence : str
        What to repair.
    factor : float or None
        Of a unit that changed: now over formerly.
    """

    kind: FaultKind
    table: str | None
    signals: tuple[str, ...]
    since: date | None
    sentence: str
    factor: float | None = None


def feed_suspects(reference: Reference, current: Histograms) -> Suspects:
    """List the signals whose counts moved far enough for a fault."""
    moved = [
        counts
        for name, counts in reference.signals.items()
        if name in current.tables and _far(counts.table[0].sum(axis=0), current.tables[name][0])
    ]
    return Suspects(
        tuple(counts.bins.name for counts in moved if not counts.bins.is_categorical),
        tuple(counts.bins.name for counts in moved if counts.bins.is_categorical),
    )


def feed_faults(
    reference: Reference,
    current: Histograms,
    signals: Sequence[Signal],
    look: SecondLook,
    tables: Sequence[Freshness] = (),
) -> tuple[Fault, ...]:
    """Name what is wrong with the feeds.

    Behaviour moves some accounts more than others and some segments more than others. A feed that
    stops gives everybody the same value; a unit that changes multiplies every value of every
    segment by one factor, so that divided by it they look as before; a spelling that changes
    makes a name vanish and another appear with the same share.

    Parameters
    ----------
    reference : Reference
        Of the champion.
    current : Histograms
        Of the date.
    signals : sequence of Signal
        Of the champion.
    look : SecondLook
        Of :func:`feed_suspects`.
    tables : sequence of Freshness
        Of the source tables, where they are known.

    Returns
    -------
    tuple of Fault
        Whole tables first.
    """
    if not current.rows:
        sentence = (
            "No account is active on this date, though the champion learnt from "
            f"{int(reference.mix.table[0, -1].sum())} on its newest date: check the tables "
            "'accounts' and 'subscriptions' and the date."
        )
        return (Fault("no-rows", "accounts", (), None, sentence),)
    stopped = [_stopped_table(table) for table in tables if table.has_stopped]
    known = {signal.name: signal for signal in signals}
    units = [
        fault
        for name in look.quantiles
        if known[name].unit in MEASURED
        and (fault := _changed_unit(reference.signals[name], current, look, known[name]))
    ]
    otherwise = {name for fault in units for name in fault.signals}
    renamed = [
        fault
        for name in look.levels
        if (fault := _renamed(reference.signals[name], look, known[name]))
    ]
    otherwise |= {name for fault in renamed for name in fault.signals}
    same = [
        known[name]
        for name, counts in reference.signals.items()
        if name in current.tables
        and name not in otherwise
        and _is_same(counts, current.tables[name][0], look)
    ]
    told = {fault.table for fault in stopped}
    still = [fault for fault in _stopped_signals(same) if fault.table not in told]
    return (*stopped, *_absent(current, known), *still, *units, *renamed)


def _far(before: Codes, now: Codes) -> bool:
    was, is_now = (before + 0.5) / (before + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    return float((is_now - was) @ np.log(is_now / was)) > SUSPECT_PSI


def stopped_data(tables: Sequence[Freshness], today: date, patience_days: int) -> Fault | None:
    """Tell whether every table ended together, long before the day it is.

    Beside a date that follows the data each table looks as new as ever; only the clock can tell
    that none of them goes on.

    Parameters
    ----------
    tables : sequence of Freshness
        Of the source tables.
    today : date
        The day it is.
    patience_days : int
        So many days without any row are no fault, however dense rows were.

    Examples
    --------
    >>> days = Freshness("events", date(2025, 1, 1), 1.0, date(2025, 1, 2))
    >>> stopped_data([days], date(2025, 1, 5), 7) is None
    True
    >>> stopped_data([days], date(2025, 3, 1), 7).sentence
    'Every table ends by 2025-01-01, 59 days before today: ...'
    """
    dated = [table for table in tables if table.newest is not None]
    if not dated:
        return None
    newest = max(table.newest for table in dated if table.newest is not None)
    usual = min(table.usual_gap_days for table in dated)
    late = (today - newest).days
    if late <= max(2 * usual + 1, patience_days):
        return None
    sentence = (
        f"Every table ends by {newest}, {late} days before today: what loads them has stopped;"
        " repair it and load the days that are missing, or set [source] data_end where the past is"
        " replayed on purpose."
    )
    return Fault("stopped-data", None, (), newest, sentence)


def _stopped_table(table: Freshness) -> Fault:
    if table.newest is None:
        sentence = f"Table '{table.table}' has no row before {table.as_of}: repair its feed."
        return Fault("stopped-table", table.table, (), None, sentence)
    late = (table.as_of - table.newest).days
    gap = f"{table.usual_gap_days:.0f} day" + ("" if round(table.usual_gap_days) == 1 else "s")
    sentence = (
        f"Table '{table.table}' has no row since {table.newest}, {late} days before "
        f"{table.as_of}, and never was without rows for more than {gap}: repair its feed and "
        "load the days that are missing."
    )
    return Fault("stopped-table", table.table, (), table.newest, sentence)


def _absent(current: Histograms, known: Mapping[str, Signal]) -> list[Fault]:
    return [
        Fault(
            "absent-column",
            TABLES[known[name].group],
            (name,),
            None,
            f"Signal '{name}' is no longer built, though the champion reads it: map the column of "
            f"table '{TABLES[known[name].group]}' it comes from again.",
        )
        for name in current.absent
        if name in known
    ]


def _is_same(counts: Counts, now: Codes, look: SecondLook) -> bool:
    """Whether everybody has one value, which formerly not nearly everybody had."""
    rows, by_date = now.sum(), counts.table[0]
    place = int(now.argmax())
    if rows < LEAST_ROWS or now[place] < SAME * rows:
        return False
    daily = by_date.sum(axis=1)
    if (by_date[:, place] / np.maximum(daily, 1)).max() > FORMERLY:
        return False
    if counts.bins.is_categorical:
        return place != counts.bins.size - 2
    # An open bin at the end may hold many values that only grew out of the others.
    spread = look.quantiles.get(counts.bins.name, np.full((1, 1), np.nan))[0]
    is_missing = place == counts.bins.size - 1
    return is_missing or bool(np.isnan(spread).any() or np.ptp(spread) == 0)


def _stopped_signals(same: Sequence[Signal]) -> list[Fault]:
    faults = []
    for table in dict.fromkeys(TABLES[signal.group] for signal in same):
        names = tuple(signal.name for signal in same if TABLES[signal.group] == table)
        what = "signal" if len(names) == 1 else "signals"
        sentence = (
            f"All accounts now have the same value of {what} {sample(names)}: table '{table}', or "
            "a column of it, has stopped; repair its feed and load what is missing."
        )
        faults.append(Fault("stopped-signal", table, names, None, sentence))
    return faults


def _changed_unit(
    counts: Counts, current: Histograms, look: SecondLook, signal: Signal
) -> Fault | None:
    """Find one factor by which all segments' values moved."""
    before, now = counts.quantiles, look.quantiles[signal.name]
    factor = _factor(before[0], now[0])
    if factor is None:
        return None
    known = [c for c in CONVERSIONS if abs(np.log(max(factor, 1 / factor) / c)) < CLOSE]
    if not known and 1 / BEYOND_BEHAVIOUR < factor < BEYOND_BEHAVIOUR:
        return None
    exact = factor
    if known:
        nearest = min(known, key=lambda c: abs(np.log(max(factor, 1 / factor) / c)))
        exact = nearest if factor > 1 else 1 / nearest
    table = current.tables[signal.name]
    for place in range(len(before)):
        if np.isnan(before[place]).any() or np.isnan(now[place]).any():
            continue
        was = counts.table[place].sum() / counts.effects[place].max()
        allowed = NATURAL + KOLMOGOROV * (1 / max(table[place].sum(), 1) + 1 / was) ** 0.5
        if min(_distance(before[place], now[place] / by) for by in (factor, exact)) > allowed:
            return None
    digits = 4 if known else 2
    said = f"{exact:.{digits}g} times" if exact > 1 else f"1/{1 / exact:.{digits}g} of"
    about = "" if known else "about "
    sentence = (
        f"Signal '{signal.name}' is {about}{said} what it was, for all accounts alike: its unit "
        f"changed; set it right in table '{TABLES[signal.group]}', or convert the column."
    )
    return Fault("changed-unit", TABLES[signal.group], (signal.name,), None, sentence, float(exact))


def _factor(before: Floats, now: Floats) -> float | None:
    """Median ratio of quantiles; None where it is near one or has no sense."""
    if np.isnan(before).any() or np.isnan(now).any():
        return None
    same_sign = (before * now) > 0
    if same_sign.mean() < 0.8:
        return None
    factor = float(np.exp(np.median(np.log(now[same_sign] / before[same_sign]))))
    return factor if abs(np.log(factor)) >= np.log(LEAST_FACTOR) else None


def _distance(before: Floats, now: Floats) -> float:
    """Largest distance between two distribution functions, each known at its quantiles."""
    level = np.array(LEVELS)

    def beyond(quantiles: Floats, of: Floats) -> float:
        # Where values repeat, a value's level is a range; being inside it is no distance.
        low = np.searchsorted(quantiles, of * (1 - 1e-9 * np.sign(of)), side="left")
        high = np.searchsorted(quantiles, of * (1 + 1e-9 * np.sign(of)), side="right")
        lowest, highest = np.r_[0.0, level][low], np.r_[level, 1.0][high]
        return float(np.maximum(lowest - level, level - highest).max())

    return max(beyond(before, now), beyond(now, before), 0.0)


def _renamed(counts: Counts, look: SecondLook, signal: Signal) -> Fault | None:
    """Pair each name that vanished with one that appeared and is as frequent."""
    now = look.levels[signal.name]
    rows = sum(now.values())
    pooled = counts.table[0, :, :-1].sum(axis=0)
    if not rows or not pooled.sum():
        return None
    was = dict(zip(counts.bins.levels, pooled / pooled.sum(), strict=False))
    share = {level: number / rows for level, number in now.items()}
    gone = [n for n, s in was.items() if s >= LEVEL_SHARE and share.get(n, 0.0) < GONE * s]
    fresh = [n for n, s in share.items() if n not in was and s >= LEVEL_SHARE / 2]
    pairs: list[tuple[str, str]] = []
    for old in gone:
        allowed = ALIKE + 3 * (was[old] * (1 - was[old]) / rows) ** 0.5
        alike = [new for new in fresh if _plain(new) == _plain(old)]
        near = [new for new in fresh if abs(share[new] - was[old]) <= allowed]
        best = min(alike or near, key=lambda new: abs(share[new] - was[old]), default=None)
        if best is not None:
            pairs.append((old, best))
            fresh.remove(best)
    if not gone or len(pairs) < len(gone):
        return None
    said = ", ".join(f"{old[:40]!r} is now {new[:40]!r}" for old, new in pairs[:3])
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    table = TABLES[signal.group]
    sentence = (
        f"The names of signal '{signal.name}' are spelled otherwise, {said}{more}: write them in "
        f"table '{table}' as before, or map them back."
    )
    return Fault("renamed-levels", table, (signal.name,), None, sentence)


def _plain(name: str) -> str:
    """Fold case, accents and everything that is no letter or digit."""
    folded = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[\W_]+", "", folded) or folded
