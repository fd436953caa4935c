"""Counts of a feature table in the bins of a reference, computed where the table lives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from models.drift_bins import Bins
from models.encoding import Codes, Floats
from models.feed_faults import Freshness, SecondLook, Suspects
from models.reference import (
    LEAST_VALUES,
    LEVELS,
    SCORE,
    Histograms,
    Reference,
    frame_histograms,
)
from models.segments import BETWEEN, EVERYTHING, SegmentAssignment

# Above the first number of accounts a sample of about the second tells the same: its shares are
# sure to a third of a percent, and nothing smaller than that is worth a word.
MOST_ROWS, SAMPLE_ROWS = 200_000, 25_000
MOST_NAMES = 50
_ROWS, _SEGMENT = "rows_counted", "segment_counted"


def histograms(
    reference: Reference,
    table: ir.Table,
    *,
    segment: ir.StringValue | None = None,
    most_rows: int = MOST_ROWS,
) -> Histograms:
    """Count a table in one pass over it, without fetching its rows.

    Parameters
    ----------
    reference : Reference
        Whose bins are filled.
    table : ibis Table
        A row per account: ``account_id``, the signals and, where it is to be compared, ``score``.
        A signal without a column is told as absent.
    segment : ibis StringValue or None
        Segment of each row, such as :func:`segment_of`; None puts every row into "all" alone.
    most_rows : int
        A table of more rows is sampled: the accounts whose hashed name falls into one of some
        classes, so that the same accounts are looked at each time.

    Returns
    -------
    Histograms
    """
    everything = int(table.count().execute())
    if not everything:
        empty = pd.DataFrame({name: [] for name in table.columns})
        return frame_histograms(reference, empty, [], score=[] if SCORE in table.columns else None)
    bins = {name: one.bins for name, one in reference.counts.items() if name in table.columns}
    label = ibis.literal(EVERYTHING) if segment is None else segment.fill_null(EVERYTHING)
    known = label.isin(reference.segments).ifelse(label, "")
    few = table.mutate(**{_SEGMENT: known})
    if everything > most_rows:
        classes = max(1, round(everything / SAMPLE_ROWS))
        few = few.filter(few.account_id.cast("string").hash() % classes == 0)
    few = few.select(_SEGMENT, **{name: _read(few[name], one) for name, one in bins.items()})
    counters: dict[str, ir.Value] = {}
    for number, one in enumerate(bins.values()):
        counters |= _counters(f"b{number}", few[one.name], one)
    # Hundreds of columns of a few rows: a data frame of them takes longer than counting them.
    found = few.group_by(_SEGMENT).agg(**{_ROWS: few.count()}, **counters).to_pyarrow().to_pydict()
    place = {name: number for number, name in enumerate(found[_SEGMENT])}
    # Nothing but missing values sums to null.
    counted = np.array([[int(n or 0) for n in found[name]] for name in (_ROWS, *counters)])
    rows, parts = counted[0], counted[1:].T
    ends = np.cumsum([one.size - 1 for one in bins.values()])
    tables = {
        name: _table(part, rows, one)
        for (name, one), part in zip(bins.items(), np.hsplit(parts, ends[:-1]), strict=True)
    }

    def by_segment(counted: Codes) -> Codes:
        nobody = np.zeros_like(counted[0])
        own = [counted[place[s]] if s in place else nobody for s in reference.segments[1:]]
        return np.array([counted.sum(axis=0), *own])

    sizes = [int(rows[place[s]]) if s in place else 0 for s in reference.segments[1:]]
    elsewhere = int(rows.sum()) - sum(sizes)
    return Histograms(
        rows=int(rows.sum()),
        of=everything,
        tables={name: by_segment(counted) for name, counted in tables.items()},
        mix=np.array([*sizes, elsewhere, 0]),
        absent=tuple(name for name in reference.signals if name not in table.columns),
    )


def segment_of(table: ir.Table, assignment: SegmentAssignment) -> ir.StringValue:
    """Assign segments in the engine, as :meth:`models.segments.SegmentAssignment.assign` does."""
    settings = assignment.settings
    if not settings.required_columns:
        if "segment" not in table.columns:
            return ibis.literal(EVERYTHING)
        parts = [table.segment.cast("string").fill_null(EVERYTHING)]
    else:
        parts = [
            ibis.literal(f"{column}=") + table[column].cast("string").fill_null("unknown")
            for column in settings.columns
        ]
    label, found = ibis.literal(""), ibis.literal(EVERYTHING)
    for part in parts:
        label = part if part is parts[0] else label + BETWEEN + part
        found = label.isin(assignment.names).ifelse(label, found)
    if not settings.lifecycle:
        return found
    tenure = table[settings.tenure_column].cast("float64")
    longest = np.finfo(float).max
    lived = (tenure.isnull() | tenure.isnan()).ifelse(longest, tenure)
    # From the last stage back, so that the first limit not reached decides.
    stage: ir.StringValue = ibis.literal("")
    for name, limit in reversed(settings.lifecycle):
        stage = ibis.literal(name) if limit is None else (lived < limit).ifelse(name, stage)
    staged = (label + BETWEEN + stage) if parts else stage
    return ((stage != "") & staged.isin(assignment.names)).ifelse(staged, found)


def second_look(
    reference: Reference,
    table: ir.Table,
    suspects: Suspects,
    *,
    segment: ir.StringValue | None = None,
) -> SecondLook:
    """Fetch what tells a fault of the feed from changed behaviour, for the suspects only."""
    label = ibis.literal(EVERYTHING) if segment is None else segment.fill_null(EVERYTHING)
    names = [*suspects.numbers, *suspects.names]
    few = table.select(*names, **{_SEGMENT: label})
    quantiles = {name: _quantiles(few, name, reference.segments) for name in suspects.numbers}
    levels = {}
    for name in suspects.names:
        named = few.filter(few[name].notnull()).group_by(level=few[name].cast("string"))
        rows = named.agg(rows=lambda t: t.count())
        top = rows.order_by(ibis.desc("rows"), "level").limit(MOST_NAMES).execute()
        levels[name] = {str(row.level): int(row.rows) for row in top.itertuples()}
    return SecondLook(quantiles, levels)


def freshness(name: str, rows: ir.Table, moment: str, as_of: date) -> Freshness:
    """Find the newest row known on a date, and the longest gap there was between rows.

    Parameters
    ----------
    name : str
        Table, as people call it.
    rows : ibis Table
        Its rows.
    moment : str
        Column of the row's own time.
    as_of : date
        The current date; rows from it on are not known yet.
    """
    known = rows.filter(rows[moment] < ibis.literal(datetime.combine(as_of, time())))
    days = known.select(day=known[moment].date()).distinct().order_by("day").execute()["day"]
    stamps = pd.to_datetime(days).sort_values()
    if not len(stamps):
        return Freshness(name, None, 0.0, as_of)
    gap = stamps.diff().dt.days.max() if len(stamps) > 1 else 1
    return Freshness(name, stamps.iloc[-1].date(), float(gap), as_of)


def _read(column: ir.Value, bins: Bins) -> ir.Value:
    """Read a column as text, or as a number that is null where it is none."""
    if bins.is_categorical:
        return column.cast("string")
    # Engines hold NaN to be equal to itself, and above everything.
    return column.cast("float64").nullif(float("nan"))


def _counters(prefix: str, column: ir.Value, bins: Bins) -> dict[str, ir.Value]:
    """Count rows above each edge, or of each level, and those with a value.

    Comparisons with constants are what every engine does fastest. They are kept as short as can
    be: there are hundreds, and putting them into words takes as long as the table's scan.
    """
    if bins.is_categorical:
        parts = [(column == level).sum() for level in bins.levels]
    else:
        parts = [(column > edge).sum() for edge in bins.edges]
    return {f"{prefix}_{number}": part for number, part in enumerate([*parts, column.count()])}


def _table(counted: Codes, rows: Codes, bins: Bins) -> Codes:
    """Turn what was counted into rows per bin: (n_segments, n_bins)."""
    known, found = counted[:, -1:], counted[:, :-1]
    missing = rows[:, None] - known
    if bins.is_categorical:
        return np.hstack([found, known - found.sum(axis=1, keepdims=True), missing])
    above = np.hstack([known, found, np.zeros_like(known)])
    return np.hstack([-np.diff(above, axis=1), missing])


def _quantiles(table: ir.Table, name: str, segments: Sequence[str]) -> Floats:
    number = table[name].cast("float64")
    finite = number.notnull() & ~number.isnan() & ~number.isinf() & (number != 0)
    values = table.filter(finite).select(**{_SEGMENT: table[_SEGMENT], "value": number})
    counted = values.count().name("n")
    spread = values.value.quantile(list(LEVELS)).name("q")
    overall = values.aggregate([counted, spread]).execute()
    grouped = values.group_by(_SEGMENT).aggregate([counted, spread]).execute()
    by_name = {EVERYTHING: overall.iloc[0]} | {
        row[_SEGMENT]: row for _, row in grouped.iterrows() if row[_SEGMENT] != EVERYTHING
    }
    unknown = np.full(len(LEVELS), np.nan)
    return np.array(
        [
            np.asarray(by_name[s]["q"], dtype=float)
            if s in by_name and by_name[s]["n"] >= LEAST_VALUES
            else unknown
            for s in segments
        ]
    )
