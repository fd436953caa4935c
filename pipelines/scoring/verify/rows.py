"""Two runs of the same accounts compared, in every column that people act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.store.schema import (
    ADDED_COLUMNS,
    DECIMALS,
    POINT_COLUMNS,
    RETIRED,
    SCORE_SCHEMA,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-9
"""By how much a rebuilt number may differ, in points of score: engines sum in any order."""
VALUE_TOLERANCE = 1e-3
"""The same of what a reason was seen with, which is told with four digits."""
REASONS = ("reason_signals", "reason_points", "reason_values")
Reasons = tuple[list[str], list[float], list[str | None]]


@dataclass(frozen=True)
class Compared:
    """How two runs differ.

    Attributes
    ----------
    rows : int
        Rows of the issued one.
    accounts : list of str
        Accounts that differ or that only one of them holds, in order.
    differing, gone, extra : int
        How many differ, are only in the issued run, and only in the rebuilt one.
    columns : dict of str to int
        In how many accounts each column differs, where it does; reasons count as one.
    largest_difference : float
        Between two scores of an account.
    """

    rows: int
    accounts: list[str]
    differing: int
    gone: int
    extra: int
    columns: dict[str, int]
    largest_difference: float


def compare_rows(issued: pa.Table, again: pa.Table) -> Compared:
    """Compare an issued run with a rebuilt one; what is no number equals nothing.

    Parameters
    ----------
    issued, again : Table
        The columns of :data:`~pipelines.store.schema.SCORE_SCHEMA`, in any order of accounts.
    """
    place = pc.index_in(issued["account_id"], value_set=again["account_id"].combine_chunks())
    gone = issued["account_id"].filter(pc.is_null(place))
    extra_mask = pc.invert(pc.is_in(again["account_id"], issued["account_id"].combine_chunks()))
    extra = again["account_id"].filter(extra_mask)
    left = issued.filter(pc.is_valid(place)).combine_chunks()
    right = again.take(place.drop_null()).combine_chunks()
    # An account that is there twice is one too many.
    apart = {"account_id": _repeated(left["account_id"])}
    for field in SCORE_SCHEMA:
        # An earlier version issued no curves, which are no part of what it issued.
        is_kept = field.name not in ADDED_COLUMNS or left[field.name].null_count < len(left)
        if field.name not in ("account_id", RETIRED, *REASONS) and is_kept:
            apart[field.name] = ~_equal(left[field.name], right[field.name], field.name)
    apart["reasons"] = ~_same_reasons(left, right)
    moved = np.logical_or.reduce(list(apart.values()))
    score, rebuilt = (table["score"].to_numpy() for table in (left, right))
    distance = np.abs(score - rebuilt)
    listed = [*left["account_id"].filter(pa.array(moved)).to_pylist(), *gone.to_pylist()]
    return Compared(
        rows=len(issued),
        accounts=sorted({*listed, *extra.to_pylist()}),
        differing=int(moved.sum()),
        gone=len(gone),
        extra=len(extra),
        columns={name: int(mask.sum()) for name, mask in apart.items() if mask.any()},
        largest_difference=float(np.nanmax(distance, initial=0.0)),
    )


def _room(column: str) -> float:
    """By how much a number may differ: what is at the middle of two decimals is cut to either."""
    # What points lose when they are cut is put to the baseline.
    decimals = DECIMALS.get(POINT_COLUMNS[0] if column == "baseline_score" else column)
    return TOLERANCE + (0.0 if decimals is None else 10.0**-decimals)


def _repeated(accounts: pa.ChunkedArray) -> NDArray[np.bool_]:
    values = accounts.to_pandas()
    return np.asarray(values.duplicated().to_numpy(), dtype=bool)


def _equal(left: pa.ChunkedArray, right: pa.ChunkedArray, name: str) -> NDArray[np.bool_]:
    if pa.types.is_string(left.type):
        return _mask(pc.equal(left, right))
    numbers, others = (column.fill_null(0.0).to_numpy() for column in (left, right))
    known, also = (_mask(pc.is_valid(column)) for column in (left, right))
    room = _room(name) + (TOLERANCE * np.abs(others) if name == "mrr" else 0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(numbers - others) <= room
    return np.asarray((known == also) & (near | ~known), dtype=bool)


def _same_reasons(left: pa.Table, right: pa.Table) -> NDArray[np.bool_]:
    """Tell where reasons are the same; two with equal points may change places."""
    columns = [
        zip(*(table[name].to_pylist() for name in REASONS), strict=True) for table in (left, right)
    ]
    return np.fromiter(
        (one == other or _alike(one, other) for one, other in zip(*columns, strict=True)),
        dtype=bool,
        count=len(left),
    )


def _alike(one: Reasons, other: Reasons) -> bool:
    if len({len(part) for reasons in (one, other) for part in reasons}) != 1:
        return False
    points, others = (np.abs(np.array(reasons[1], dtype=float)) for reasons in (one, other))
    room = _room("reason_points")
    if not np.all(np.abs(points - others) <= room):
        return False
    # Only the last may give way to another signal with as many points.
    least = points.min() + room
    left, right = (
        dict(zip(reasons[0], zip(*reasons[1:], strict=True), strict=True))
        for reasons in (one, other)
    )
    for signal in left.keys() | right.keys():
        if signal not in left or signal not in right:
            if abs((left | right)[signal][0]) > least:
                return False
            continue
        (point, value), (point_again, value_again) = left[signal], right[signal]
        if abs(point - point_again) > room or not _same_value(value, value_again):
            return False
    return True


def _same_value(one: str | None, other: str | None) -> bool:
    if one == other or one is None or other is None:
        return one == other
    try:
        return bool(abs(float(one) - float(other)) <= VALUE_TOLERANCE * abs(float(other)))
    except ValueError:
        return False


def _mask(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(values.fill_null(False).to_numpy(), dtype=bool)
