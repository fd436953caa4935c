"""Values that cannot be read: how many of a column may count as missing, and when it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil

from features.errors import DataError, sample
from features.tables.mapping.contract import Column, Table

FEWEST_LOST = 3
"""So few values are typing errors, unless they are most of a column."""
MOSTLY = 0.5
"""A column of which more than this share cannot be read is mapped wrongly, whatever is allowed."""
_WANTED = {"time": "a date", "number": "a number", "flag": "yes or no"}


def is_too_many(lost: int, present: int, allowed: float) -> bool:
    """Whether so many of a column's values are lost that they are no typing errors.

    Examples
    --------
    >>> is_too_many(2, 4, 0.05), is_too_many(3, 40, 0.05), is_too_many(3, 80, 0.05)
    (False, True, False)
    """
    return lost > MOSTLY * present or (lost >= FEWEST_LOST and lost > allowed * present)


def refuse_unreadable(
    contract: Table,
    source_name: str,
    columns: Iterable[Column],
    counts: Mapping[str, float | str | None],
    allowed: float,
) -> None:
    """Refuse a column of which more values than may be lost cannot be read.

    Parameters
    ----------
    contract : Table
        What the table fills.
    source_name : str
        The table's name in the source.
    columns : iterable of Column
        Its columns.
    counts : mapping
        Per column how many values are present and unreadable, and the first and last of those.
    allowed : float
        The share that may count as missing.

    Raises
    ------
    DataError
        When more is lost of one.
    """
    for column in columns:
        unreadable, present = (int(_number(counts.get(f"{what}:{column.name}")))
                               for what in ("unreadable", "present"))  # fmt: skip
        if not is_too_many(unreadable, present, allowed):
            continue
        ends = [counts.get(f"{which}:{column.name}") for which in ("example", "most_example")]
        remedy = f"correct [tables.{contract.name}] or the data"
        if unreadable <= MOSTLY * present:
            remedy += f", or set [reading] may_be_lost = {ceil(100 * unreadable / present) / 100}"
        raise DataError(
            f"Column {column.name} of table '{source_name}' must hold"
            f" {_WANTED.get(column.kind, column.kind)} and {unreadable:,} of {present:,} values"
            f" ({unreadable / present:.0%}) cannot be read as one, such as"
            f" {sample(list(dict.fromkeys(ends)))}; {remedy}"
        )


def _number(value: float | str | None) -> float:
    return float(value) if value is not None and value == value else 0.0
