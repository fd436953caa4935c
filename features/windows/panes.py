"""The windowed-aggregation engine: each event is read once, whatever the number of windows.

Time is cut into *panes* at every edge of every (observation date, window), so a window is a run of
whole panes. Events are aggregated once per account and pane, and panes are then combined per
observation and window. Distinct values are sets of bits, both ways exact: where a column holds few
values (features), each value has a bit, and a pane's set is one more sum to combine; where it may
hold any number (users), each value of an account has a bit per pane in which it occurred, and it
counts in a window when one of the window's bits is set.

References
----------
J. Li, D. Maier, K. Tufte, V. Papadimos, P. A. Tucker, "No pane, no gain: efficient evaluation of
sliding-window aggregates over data streams", SIGMOD Record 34(1), 2005.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import ibis
import ibis.expr.types as ir

from features.sources.engines.engine import NOTHING, Remembered
from features.tables.cleaning import CleanTable
from features.tables.company import without_doubled_keys
from features.windows.calendar import BITS, PaneCalendar, Window, bits_of, case_of_bits
from features.windows.days import OF_VALUES, daily, with_means
from features.windows.measures import Events, Measure

__all__ = ["Events", "Measure", "Window", "aggregate_windows", "events_of"]

KEYS = ["account_id", "observation_date"]
Keep = Callable[[str, ir.Table], ir.Table]


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def bit_count(bits: int) -> int:  # type: ignore[empty-body]
    """Count the bits that are set: the engine's own function of that name."""


def events_of(table: CleanTable, at: str | None = None, **columns: ir.Value) -> Events:
    """Read a source table as events.

    Parameters
    ----------
    table : CleanTable
        The source table.
    at : str, optional
        The time column that says when it happened, such as ``closed_at``; the row's own time when
        left out. Rows without it are no events.
    **columns : ibis value
        What to measure, as expressions over ``table.cleaned``.

    Returns
    -------
    Events
        Known when it happened, but not before the row's own time or ``recorded_at``.
    """
    rows, own = table.cleaned, table.contract.time
    moment = rows[at or own]
    later = [rows[own]] if at is not None and at != own else []
    if "recorded_at" in rows.columns:
        later.append(rows.recorded_at.fill_null(moment))
    known = {"known_at": ibis.greatest(moment, *later)} if later else {}
    selected = rows.select(account_id=rows.account_id, moment=moment, **known, **columns)
    as_written = table.own_time if at is None or at == own else None
    return Events(selected.filter(selected.moment.notnull()), as_written)


def aggregate_windows(
    observations: ir.Table,
    dates: Sequence[date],
    events: Events,
    windows: Sequence[Window],
    measures: Mapping[str, Measure],
    keep: Keep,
    remembered: Remembered = NOTHING,
) -> ir.Table:
    """Compute measures over windows before every observation date.

    Parameters
    ----------
    observations : ibis table
        Rows with ``account_id`` and ``observation_date``; other columns are left out.
    dates : sequence of date
        The observation dates that occur, at least one.
    events : Events
        What happened. An event that became known only on the observation date or later does not
        count on it.
    windows : sequence of Window
        Lookback windows.
    measures : mapping of str to Measure
        Measures by name.
    keep : callable
        Computes a step once, in the engine: see :meth:`features.tables.company.Company.keep`.
    remembered : Remembered
        What need not be computed again: days of events that were put together on earlier nights.

    Returns
    -------
    ibis table
        ``account_id``, ``observation_date`` and a column ``MEASURE_WINDOW`` for each pair, one row
        per observation. Counts and sums of nothing are 0; a mean, maximum, rank or latest time
        of nothing is missing.
    """
    groups = [(events, dict(measures))]
    if remembered.covers(events.rows):
        groups = daily(events, measures, remembered)
    result = observations.select(*KEYS)
    for some_events, some in groups:
        for part in _windowed(dates, some_events, windows, some, keep):
            result = without_doubled_keys(result.left_join(part, KEYS))
    result = with_means(result, measures, [window.name for window in windows])
    zero = [
        f"{name}_{window.name}"
        for name, measure in measures.items()
        if measure.kind in _ZERO_WHERE_ABSENT
        for window in windows
    ]
    return result.mutate(**{name: result[name].cast("float64").fill_null(0.0) for name in zero})


def _windowed(
    dates: Sequence[date],
    events: Events,
    windows: Sequence[Window],
    measures: Mapping[str, Measure],
    keep: Keep,
) -> list[ir.Table]:
    """Compute measures of the accounts and dates that have any, in one table or several."""
    days = [name for name, measure in measures.items() if measure.kind == "days"]
    calendar = PaneCalendar(dates, windows, days_are_sets=bool(days))
    plain = _dated(events, calendar)
    dated, sets = _with_sets(plain, measures)
    apart = [name for name, measure in measures.items() if measure.kind in OF_VALUES]
    apart = [name for name in apart if name not in sets]
    # A day whose events became known on different dates must count once.
    alone = days if events.may_be_late else []
    together = [name for name in measures if name not in (*apart, *alone)]
    parts = [
        _over_panes(dated, events, calendar, {name: measures[name] for name in names}, sets, keep)
        for names in (together, alone)
        if names
    ]
    return parts + [
        _over_values(plain, events, calendar, name, measures[name], keep) for name in apart
    ]


FEW = 2 * BITS
ASKED_IN_TURN = 24
"""So few values are told apart one after the other."""
_ZERO_WHERE_ABSENT = ("count", "sum", "days", "distinct")


def _dated(events: Events, calendar: PaneCalendar) -> ir.Table:
    """Give every event in reach its pane and, where it came late, the first date that saw it."""
    rows = events.between(*calendar.bounds)
    if calendar.is_one_pane and not events.may_be_late:
        return rows.mutate(bit_0=ibis.literal(1))
    rows = rows.mutate(day=rows.moment.truncate("D"))
    dated = rows.inner_join(calendar.days(), "day")
    if not events.may_be_late:
        return dated
    seen = calendar.days().select(known_day="day", known_from="seen_from")
    dated = dated.mutate(known_day=dated.known_at.truncate("D"))
    # Known after the last date: no date sees it, and the join leaves it out.
    dated = dated.inner_join(seen, "known_day")
    late = dated.known_from > dated.seen_from
    return dated.mutate(late=late.ifelse(dated.known_from, 0))


def _with_sets(dated: ir.Table, measures: Mapping[str, Measure]) -> tuple[ir.Table, dict[str, int]]:
    """Give the values of columns with few of them a bit each; return each measure's words."""
    sets: dict[str, int] = {}
    for name, measure in measures.items():
        if measure.kind != "distinct" or not measure.few:
            continue
        present = dated.filter(dated[measure.column].notnull())
        values = present.select(measure.column).distinct().limit(FEW + 1).execute()
        if 0 < len(values) <= FEW:
            sets[name] = -(-len(values) // BITS)
            if len(values) <= ASKED_IN_TURN:
                # The engine may take the dictionary for the longer side of a join.
                listed = sorted(values[measure.column])
                bits = case_of_bits(dated[measure.column], listed, name, sets[name])
                dated = dated.mutate(**bits)
                continue
            dictionary = bits_of(values[measure.column], name, sets[name])
            dated = dated.left_join(dictionary, dated[measure.column] == dictionary[f"{name}_of"])
            dated = dated.drop(f"{name}_of")
    return dated, sets


def _over_panes(
    dated: ir.Table,
    events: Events,
    calendar: PaneCalendar,
    measures: Mapping[str, Measure],
    sets: Mapping[str, int],
    keep: Keep,
) -> ir.Table:
    """Aggregate per account and pane, then combine the panes of each window."""
    late = ["late"] if events.may_be_late else []
    if late and all(measure.kind == "days" for measure in measures.values()):
        # A day counts from its first known event on, however late others of that day come.
        daily = dated.group_by("account_id", "day", "pane", "day_bit")
        dated = daily.aggregate(late=dated.late.min())
    pane = [] if calendar.is_one_pane and not late else ["pane"]
    cells = dated.group_by("account_id", *pane, *late).aggregate(
        **{
            part: value
            for name, measure in measures.items()
            for part, value in _per_pane(dated, name, measure, sets.get(name, 0)).items()
        }
    )
    if not pane:
        cells = cells.mutate(pane=ibis.literal(0))
    # In the order of accounts, the few sums that an account needs stay in the processor's cache.
    cells = keep("cells", cells.order_by("account_id"))
    joined = cells.inner_join(calendar.members(), "pane")
    if late:
        joined = joined.filter(joined.late <= joined.observation_number)
    windows = joined.group_by(KEYS).aggregate(
        **{
            part: value
            for name, measure in measures.items()
            for window in calendar.windows
            for part, value in _per_window(joined, name, window.name, measure, sets).items()
        }
    )
    return windows.select(
        *KEYS,
        **{
            f"{name}_{window.name}": _finished(windows, f"{name}_{window.name}", measure, words)
            for name, measure in measures.items()
            for window in calendar.windows
            for words in [sets.get(name, 0)]
        },
    )


def _per_pane(dated: ir.Table, name: str, measure: Measure, words: int) -> dict[str, ir.Value]:
    """Aggregate one measure over the events of a pane, in parts that can be combined."""
    match measure.kind:
        case "count":
            return {name: dated.count().cast("float64")}
        case "days":
            return {name: bit_count(dated.day_bit.bit_or()).cast("float64")}
        case "last":
            return {name: dated.moment.max()}
        case "max":
            return {name: dated[measure.column].max()}
        case "distinct":
            return {f"{name}_{w}": dated[f"{name}_bit_{w}"].bit_or() for w in range(words)}
    column = dated[measure.column].cast("float64")
    total = {name: column.sum()}
    if measure.kind == "mean":
        total[f"{name}_rows"] = column.count().cast("float64")
    return total


def _per_window(
    cells: ir.Table, name: str, window: str, measure: Measure, sets: Mapping[str, int]
) -> dict[str, ir.Value]:
    # Multiplying by 0 or 1 costs the engine half of what filtering each sum does.
    inside, result = cells[f"in_{window}"], f"{name}_{window}"
    if measure.kind == "distinct":
        mask = cells[f"mask_{window}"]
        return {f"{result}_{w}": (cells[f"{name}_{w}"] & mask).bit_or() for w in range(sets[name])}
    if measure.kind in ("last", "max"):
        return {result: cells[name].max(where=inside > 0)}
    total = {result: (cells[name] * inside).sum()}
    if measure.kind == "mean":
        total[f"{result}_rows"] = (cells[f"{name}_rows"] * inside).sum()
    return total


def _finished(windows: ir.Table, result: str, measure: Measure, words: int) -> ir.Value:
    if measure.kind == "mean":
        return windows[result] / windows[f"{result}_rows"].nullif(0.0)
    if measure.kind != "distinct":
        return windows[result]
    counts = [bit_count(windows[f"{result}_{word}"].fill_null(0)) for word in range(words)]
    return functools.reduce(operator.add, (count.cast("float64") for count in counts))


def _over_values(
    dated: ir.Table,
    events: Events,
    calendar: PaneCalendar,
    name: str,
    measure: Measure,
    keep: Keep,
) -> ir.Table:
    """Give each value of an account a bit per pane, then ask which have a bit in each window."""
    column = measure.column
    late = ["late"] if events.may_be_late else []
    present = dated.filter(dated[column].notnull())
    values = present.group_by("account_id", column, *late).aggregate(
        **{f"bits_{word}": present[f"bit_{word}"].bit_or() for word in range(calendar.words)}
    )
    values, masks = keep("values", values.order_by("account_id")), calendar.masks()
    within = _within(values.cross_join(masks), values, calendar)
    names = [window.name for window in calendar.windows]
    if measure.kind == "distinct":
        counts = {f"{name}_{window}": within[window].ifelse(1.0, 0.0).sum() for window in names}
        return within.group_by(KEYS).aggregate(**counts)
    longest = max(calendar.windows, key=lambda window: window.days).name
    ranks = keep("ranks", _ranks(within.filter(within[longest]), column))
    ranked = values.inner_join(masks.inner_join(ranks, "observation_date"), column)
    within = _within(ranked, values, calendar)
    highest = {f"{name}_{window}": within["rank"].max(where=within[window]) for window in names}
    return within.group_by(KEYS).aggregate(**highest)


def _within(joined: ir.Table, values: ir.Table, calendar: PaneCalendar) -> ir.Table:
    """Say for each value of an account and each date in which windows it occurred."""
    words = range(calendar.words)
    if "late" in values.columns:
        joined = joined.filter(joined.late <= joined.observation_number)
        bits = [f"bits_{word}" for word in words]
        same = [name for name in joined.columns if name not in ("late", *bits)]
        joined = joined.group_by(same).aggregate(**{each: joined[each].bit_or() for each in bits})
    return joined.mutate(
        **{
            window.name: ibis.or_(
                *(
                    (joined[f"bits_{word}"] & joined[f"mask_{window.name}_{word}"]) != 0
                    for word in words
                )
            )
            for window in calendar.windows
        }
    )


def _ranks(present: ir.Table, column: str) -> ir.Table:
    """Rank the values on each date, from 1 for the one of the most accounts."""
    spread = present.group_by("observation_date", column).aggregate(accounts=present.count())
    by_spread = ibis.window(group_by="observation_date", order_by=spread.accounts.desc())
    return spread.select(
        "observation_date", column, rank=ibis.rank().over(by_spread).cast("float64") + 1.0
    )
