"""Counts of a feature table in the bins of a reference, computed where the table lives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.catalog import EVERYBODY
from models.arrays import Codes, Floats
from models.churn.segments import BETWEEN, SegmentAssignment
from models.drift.bins import Bins
from models.drift.feed_faults import SecondLook, Suspects
from models.drift.reference import (
    LEAST_VALUES,
    LEVELS,
    SCORE,
    Histograms,
    Reference,
    frame_histograms,
)

# Above the first number of accounts a sample of about the second tells the same: its shares are
# sure to a third of a percent, and nothing smaller than that is worth a word.
MOST_ROWS, SAMPLE_ROWS = 100_000, 25_000
MOST_NAMES = 50
_SEGMENT = "segment_counted"


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
    label = ibis.literal(EVERYBODY) if segment is None else segment.fill_null(EVERYBODY)
    few = table.mutate(**{_SEGMENT: label.isin(reference.segments).ifelse(label, "")})
    if everything > most_rows:
        classes = max(1, round(everything / SAMPLE_ROWS))
        few = few.filter(few.account_id.cast("string").hash() % classes == 0)
    rows, tables = _counted(few, tuple(bins.values()), reference.segments)
    return Histograms(
        rows=int(rows.sum()),
        of=everything,
        tables=tables,
        # Rows of no known segment are last but one, and none lacks a label.
        mix=np.array([*rows[1:], rows[0], 0]),
        absent=tuple(name for name in reference.signals if name not in table.columns),
    )


def segment_of(table: ir.Table, assignment: SegmentAssignment) -> ir.StringValue:
    """Assign segments in the engine, as ``SegmentAssignment.assign`` does with a frame."""
    settings = assignment.settings
    if not settings.required_columns:
        if "segment" not in table.columns:
            return ibis.literal(EVERYBODY)
        parts = [table.segment.cast("string").fill_null(EVERYBODY)]
    else:
        parts = [
            ibis.literal(f"{column}=") + table[column].cast("string").fill_null("unknown")
            for column in settings.columns
        ]
    label, found = ibis.literal(""), ibis.literal(EVERYBODY)
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
    label = ibis.literal(EVERYBODY) if segment is None else segment.fill_null(EVERYBODY)
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


def _counted(
    table: ir.Table, bins: Sequence[Bins], segments: Sequence[str]
) -> tuple[Codes, dict[str, Codes]]:
    """Count rows per segment, those of none first, and per segment and bin of each signal.

    A row becomes a row per signal, whose bin is found by looking up the signal's edges: one short
    query, whereas an aggregate per bin is hundreds, which take longer to put into words and to plan
    than the table to scan.
    """
    # A column of zeros, so that rows are counted whatever columns there are.
    values = [ibis.literal(0.0), *(_read(table[one.name], one) for one in bins)]
    wide = table.select(_SEGMENT, values=ibis.array(values))
    long = wide.mutate(signal=ibis.range(len(values)).unnest())
    # Engines hold NaN to be equal to itself, and above everything.
    value = long["values"][long.signal].nullif(float("nan"))
    long = long.select(_SEGMENT, "signal", value=value)
    counted = long.group_by(_SEGMENT, "signal", bin=_bin(long, bins)).agg(rows=long.count())
    found = counted.to_pyarrow().to_pydict()
    places = {name: place for place, name in enumerate(segments)} | {"": 0}
    everyone = np.zeros(len(segments), dtype=np.intp)
    tables = [np.zeros((len(segments), one.size), dtype=np.intp) for one in bins]
    for name, signal, number, rows in zip(*found.values(), strict=True):
        place = places[name]
        if not signal:
            everyone[place] += rows
        else:
            tables[signal - 1][place, -1 if number is None else int(number)] += rows
    for part in tables:
        # What was counted under "all" is of no segment of its own.
        part[0] = part.sum(axis=0)
    return everyone, {one.name: part for one, part in zip(bins, tables, strict=True)}


def _read(column: ir.Value, bins: Bins) -> ir.Value:
    """Read a number, or of a name the number of its bin."""
    if bins.is_categorical:
        names = column.cast("string")
        other = float(len(bins.levels))
        known = [(level, float(number)) for number, level in enumerate(bins.levels)]
        return names.isnull().ifelse(ibis.null("float64"), names.cases(*known, else_=other))
    return column.cast("float64")


def _bin(long: ir.Table, bins: Sequence[Bins]) -> ir.Value:
    """Find the bin of each value: as many edges as lie below it; null where it is missing."""
    most = max([1, *(len(one.edges) for one in bins)])
    edges = np.full((most, 1 + len(bins)), np.inf)
    for place, one in enumerate(bins, start=1):
        edges[: len(one.edges), place] = one.edges
    # Engines may take a number for a decimal and round it; a text is read to the last digit.
    texts = [ibis.literal([repr(float(edge)) for edge in row], "array<string>") for row in edges]
    above = [long.value > text.cast("array<float64>")[long.signal] for text in texts]
    found = reduce(add, (one.cast("int64") for one in above))
    named = [False, *(one.is_categorical for one in bins)]
    if not any(named):
        return found
    # The value of a name is its bin already.
    return ibis.literal(named, "array<boolean>")[long.signal].ifelse(long.value, found)


def _quantiles(table: ir.Table, name: str, segments: Sequence[str]) -> Floats:
    number = table[name].cast("float64")
    finite = number.notnull() & ~number.isnan() & ~number.isinf() & (number != 0)
    values = table.filter(finite).select(**{_SEGMENT: table[_SEGMENT], "value": number})
    counted = values.count().name("n")
    spread = values.value.quantile(list(LEVELS)).name("q")
    overall = values.aggregate([counted, spread]).execute()
    grouped = values.group_by(_SEGMENT).aggregate([counted, spread]).execute()
    by_name = {EVERYBODY: overall.iloc[0]} | {
        row[_SEGMENT]: row for _, row in grouped.iterrows() if row[_SEGMENT] != EVERYBODY
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
