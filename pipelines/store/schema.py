"""The columns of an issued score, alike in every store and every export."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.catalog import GROUPS
from models.scoring.timing.curve import HORIZONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

REASONS = 5
"""Most reasons that are kept with a score."""
POINT_COLUMNS = tuple(f"points_{group}" for group in GROUPS)
LOSS_COLUMNS = tuple(f"loss_{days}_days" for days in HORIZONS)
ADDED_COLUMNS = ("probability_if_due", *LOSS_COLUMNS, "days_to_renewal", "band_days")
"""What stores from before there were curves do not hold."""
RETIRED = "grade"
"""Letters that earlier versions issued: the seals of such runs hold them. They are empty since."""

SCORE_SCHEMA = pa.schema(
    [
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("segment", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("band", pa.string(), nullable=False),
        pa.field("grade", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("coverage", pa.float64(), nullable=False),
        pa.field("baseline_score", pa.float64(), nullable=False),
        *(pa.field(column, pa.float64(), nullable=False) for column in POINT_COLUMNS),
        pa.field("mrr", pa.float64()),
        pa.field("reason_signals", pa.list_(pa.string()), nullable=False),
        pa.field("reason_points", pa.list_(pa.float64()), nullable=False),
        pa.field("reason_values", pa.list_(pa.string()), nullable=False),
        *(pa.field(column, pa.float64()) for column in ADDED_COLUMNS),
    ]
)
"""One row per account of a run, as stores hold it."""
SHOWN = tuple(name for name in SCORE_SCHEMA.names if name != RETIRED)
"""Columns of an issued score that are shown and exported, in that order."""

DECIMALS: dict[str, int] = {
    "score": 9,
    "baseline_score": 9,
    "coverage": 4,
    "mrr": 4,
    **dict.fromkeys(("probability", "probability_if_due", *LOSS_COLUMNS), 9),
    **dict.fromkeys(POINT_COLUMNS, 4),
    "reason_points": 3,
}
"""Decimals that a score is issued with, in each column that has fewer than a double holds."""
SMALL_DECIMALS: dict[str, int] = {
    **{
        name: DECIMALS[name]
        for name in ("probability", "probability_if_due", *LOSS_COLUMNS, *POINT_COLUMNS)
    },
    "coverage": DECIMALS["coverage"],
    **dict.fromkeys(("days_to_renewal", "band_days"), 0),
}
"""Decimals of the numbers that are small enough to be four bytes without a point, or two."""
SHORT = ("coverage", "days_to_renewal", "band_days")
"""Those that are small enough for two."""
RUN_SCHEMA = pa.schema(
    [
        ("outcome", pa.string()),
        ("as_of", pa.date32()),
        ("model_version", pa.string()),
        ("revision", pa.int32()),
        ("issued_at", pa.timestamp("us")),
        ("rows", pa.int64()),
        ("facts", pa.string()),
    ]
)
"""One row per run; ``facts`` is a JSON object of texts."""

HISTORY_SCHEMA = pa.schema(
    [*(RUN_SCHEMA.field(number) for number in range(5)), *map(SCORE_SCHEMA.field, SHOWN)]
)
"""One row per run that holds an account: which run, and the account's score in it."""

CHANGE_SCHEMA = pa.schema(
    [
        ("account_id", pa.string()),
        ("kind", pa.string()),
        *(
            SCORE_SCHEMA.field(name).with_nullable(True)
            for name in ("segment", "band", "score", "probability", "mrr")
        ),
        ("band_before", pa.string()),
        ("score_before", pa.float64()),
        ("probability_before", pa.float64()),
    ]
)
"""One row per account that differs between two runs; ``kind`` is new, changed or gone."""

PORTFOLIO_SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("model_version", pa.string()),
        ("issued_at", pa.timestamp("us")),
        ("band", pa.string()),
        ("accounts", pa.int64()),
        ("mrr", pa.float64()),
        ("mean_score", pa.float64()),
    ]
)
"""One row per run and band."""

COLUMN_NOTES: dict[str, str] = {
    "account_id": "The account, as it is named in the accounts table.",
    "segment": "The segment whose weights and calibration scored the account.",
    "score": "Health score from 0 to 100; ten points halve the odds of churn.",
    "band": "Band of the probability: at-risk, watch or healthy; of an outcome that is good news"
    " likely, possible or unlikely.",
    "probability": "Calibrated probability, from 0 to 1, that the outcome happens in the outcome"
    " window.",
    "coverage": "Share of the model's weight, from 0 to 1, whose signals were known for the"
    " account.",
    "baseline_score": "Score of the segment's mean account; with the points of all groups it adds"
    " up to the score.",
    **{
        f"points_{group}": f"Points that signals of the group {group} add to the baseline, or take"
        " from it; 0 where the model has none."
        for group in GROUPS
    },
    "mrr": "Monthly recurring revenue on the date, in the currency of the tables; empty where it"
    " is not known.",
    "reason_signals": f"Names of up to {REASONS} signals with the largest absolute points, the"
    " largest first.",
    "reason_points": "Points of those signals, in the same order.",
    "reason_values": "What was known of those signals on the date, as text; empty where nothing"
    " was.",
    "probability_if_due": "Calibrated probability of the outcome, from 0 to 1, had the account to"
    " decide in the outcome window; empty where an earlier version issued the score.",
    **{
        f"loss_{days}_days": f"Probability, from 0 to 1, that the account is lost within {days}"
        " days of the date; empty where the model tells no curve."
        for days in HORIZONS
    },
    "days_to_renewal": "Days from the date to the next renewal of the contract; empty where none is"
    " known or the model reads no contracts.",
    "band_days": "Days since the run from which on the account has been in its band; 0 in the run"
    " that it came into it, empty where an earlier version issued the score.",
}
"""One sentence on each of :data:`SHOWN`."""

LISTS = ("reason_signals", "reason_points", "reason_values")
_LET_GO = "reasons kept {} days"
RANKS = range(1, REASONS + 1)
SMALL_SCHEMA = pa.schema(
    [
        *(field.with_nullable(True) for field in SCORE_SCHEMA),
        # The wide ones first, which leaves no gaps between them.
        *((f"{name}_small", pa.int32()) for name in SMALL_DECIMALS if name not in SHORT),
        *((f"reason_points_{rank}", pa.int32()) for rank in RANKS),
        *((f"{name}_small", pa.int16()) for name in SHORT),
        *((f"reason_{rank}", pa.int16()) for rank in RANKS),
        ("reason_texts", pa.string()),
    ]
)
"""The columns of a score where rows are not held by columns, as ``small_view`` reads them."""
BETWEEN, NOTHING = "\x1f", "\x1e"
"""Stand between the values of reasons in ``reason_texts``, and for one that is not known."""


def without_reasons(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return issued scores, in the types of any store, whose reasons were let go."""
    offsets = pa.array(np.zeros(batch.num_rows + 1, np.int32))
    for name in LISTS:
        place = batch.schema.get_field_index(name)
        field = batch.schema.field(place)
        nothing = pa.array([], field.type.value_type)
        empty = pa.ListArray.from_arrays(offsets, nothing, type=field.type)
        batch = batch.set_column(place, field, empty)
    return batch


def mark_of(days: int) -> str:
    """Return what stands for reasons that were kept so long, where an erasure has a name."""
    return _LET_GO.format(days)


def days_kept(mark: str) -> int | None:
    """Return how long reasons were kept that were let go; None where a name was erased.

    Examples
    --------
    >>> days_kept(mark_of(396)), days_kept("erased-00ff")
    (396, None)
    """
    told = re.fullmatch(_LET_GO.format("([0-9]{1,6})"), mark)
    return int(told[1]) if told else None


def as_small(batch: pa.RecordBatch, signals: Sequence[str]) -> pa.RecordBatch:
    """Return issued scores in :data:`SMALL_SCHEMA`: each value in the smaller form that holds it.

    Parameters
    ----------
    batch : RecordBatch
        As :func:`checked` gives it.
    signals : sequence of str
        Those that may be reasons; a reason is held as its place among them, from 1.
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, decimals in SMALL_DECIMALS.items():
        kind = np.int16 if name in SHORT else np.int32
        small, fits = _whole(columns[name], decimals, kind)
        columns[f"{name}_small"] = small
        columns[name] = pc.if_else(fits, None, columns[name])
    names, points, values = (batch.column(name) for name in LISTS)
    places = pc.index_in(names.flatten(), pa.array(signals, pa.string()))
    small, fit = _whole(points.flatten(), DECIMALS["reason_points"], np.int32)
    known = pc.fill_null(values.flatten(), NOTHING)
    odd = pc.or_(pc.match_substring(known, BETWEEN), pc.equal(known, ""))
    odd = pc.or_(odd, pc.and_(pc.equal(known, NOTHING), pc.is_valid(values.flatten())))
    lengths = pc.list_value_length(names).to_numpy(zero_copy_only=False)
    rows, ranks = np.nonzero(np.arange(REASONS) < lengths[:, None])
    wide = np.zeros(batch.num_rows, dtype=bool)
    np.logical_or.at(wide, rows, np.asarray(pc.or_(odd, pc.invert(fit))))
    if len(signals) > np.iinfo(np.int16).max:
        wide[:] = True
    kept = pa.array(~wide)
    for rank in RANKS:
        place = np.full(batch.num_rows, -1)
        place[rows[ranks == rank - 1]] = np.flatnonzero(ranks == rank - 1)
        at = pa.array(place, mask=(place < 0) | wide)
        columns[f"reason_{rank}"] = pc.add(places.take(at), 1).cast(pa.int16())
        columns[f"reason_points_{rank}"] = small.take(at)
    joined = pa.ListArray.from_arrays(_offsets(lengths), known)
    texts = pc.binary_join(joined, BETWEEN)
    columns["reason_texts"] = pc.if_else(pa.array(wide | (lengths == 0)), None, texts)
    for name in LISTS:
        columns[name] = pc.if_else(kept, None, columns[name])
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in SMALL_SCHEMA.names], schema=SMALL_SCHEMA
    )


def _offsets(lengths: NDArray[np.int32]) -> pa.Int32Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _whole(
    numbers: pa.DoubleArray, decimals: int, kind: type[np.signedinteger[Any]]
) -> tuple[pa.Array, pa.BooleanArray]:
    """Take the point out of numbers; tell which are the same when it is put back."""
    exact = numbers.fill_null(np.nan).to_numpy(zero_copy_only=False)
    unit = 10.0**decimals
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(exact * unit)
        fits = (np.abs(whole) <= np.iinfo(kind).max) & (whole / unit == exact)
    small = pa.array(np.where(fits, whole, 0).astype(kind), mask=~fits)
    return small, pa.array(fits)
