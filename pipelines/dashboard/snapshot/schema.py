"""The columns of a snapshot: issued scores, attributes, and the places in each order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.catalog import signal_label
from pipelines.store.schema import SHOWN

MONTHS = 12
NAME, OWNER, LIFECYCLE, RENEWAL = "name", "owner", "lifecycle", "renewal"
CHANGE = "change"
SCORED = SHOWN
FIXED = (NAME, OWNER, LIFECYCLE)
"""Columns of the accounts table that every snapshot has, empty where there is no such column."""
MONEY = ("arr", "stake")
"""Twelve times MRR, and that times the probability."""
EARLIER = ("score_before", "band_before", "probability_before", "arr_before", "stake_before")
"""The same account in the run of the date before; empty where it was not in it."""
MOVED = (CHANGE, "moved_group", "moved_points", "past")
"""Points since then, the group that moved it most and by how much, and scores of earlier dates."""
LISTED = (
    "account_id",
    *FIXED,
    RENEWAL,
    CHANGE,
    "segment",
    "band",
    "score",
    "probability",
    "coverage",
    "mrr",
    *MONEY,
)
BESIDE = (
    *EARLIER,
    "probability_if_due",
    "moved_group",
    "moved_points",
    "past",
    "reason_signals",
    "reason_points",
    "reason_values",
)
"""What a row of the list is told with beside :data:`LISTED`: changes and reasons."""
SORTED = (
    "account_id",
    *FIXED,
    "segment",
    "score",
    "probability",
    "coverage",
    *MONEY,
    CHANGE,
    RENEWAL,
)
"""Columns by which accounts are sorted, beside attributes; a band goes as the score does."""
ALIKE = {"band": "probability", "mrr": "arr"}
"""Columns that are sorted by another one."""
FACETS = ("band", "segment", OWNER, LIFECYCLE)
"""Columns by which accounts are picked, beside attributes."""
LISTS: Mapping[str, str] = {
    "past": "past::float[]",
    "reason_signals": "from_json(reason_signals, '[\"VARCHAR\"]')",
    "reason_points": "reason_points::double[]",
    "reason_values": "from_json(reason_values, '[\"VARCHAR\"]')",
}
"""Columns that hold lists, and what reads one: they are stored as text, see :func:`stored_as`."""
RESERVED = frozenset({*SCORED, *FIXED, *MONEY, "q", "sort", "after", "before", "end", "outcome"})
FOUND_BY, PLAIN = "found_by", " using compression uncompressed"
OWN_TEXTS = frozenset({"account_id", NAME, FOUND_BY})
"""Texts that are another one for each account; searching what is not packed takes half the time."""
RESERVED_TOO = frozenset(
    {"score_from", "score_to", "size", "by", "order", "moved", "renews", "show", "state", "why"}
) | {RENEWAL, *EARLIER, *MOVED}


@dataclass(frozen=True)
class Attribute:
    """A column of the accounts table that a snapshot holds.

    Parameters
    ----------
    name : str
        What addresses call it: small letters, digits and underscores.
    column : str
        What the accounts table calls it.
    is_text : bool
        Whether it holds words; else numbers.
    """

    name: str
    column: str
    is_text: bool

    @property
    def label(self) -> str:
        """What people read."""
        return signal_label(self.column)

    @property
    def stored(self) -> str:
        """Name of its column in the snapshot, which no other column has."""
        return f"attribute_{self.name}"


def read_from(column: str) -> str:
    """Write what reads a column of a snapshot, under its own name."""
    return f"{LISTS[column]} as {column}" if column in LISTS else column


EVERY = f"* replace ({', '.join(map(read_from, LISTS))})"
"""What reads every column of a snapshot."""


def stored_as(column: str, kind: str) -> tuple[str, str]:
    """Choose how a column is stored, so that a page's rows are read where they lie.

    Of a packed column the engine unpacks the 2,048 values around each row of a page, and of a list
    those of all its elements. Words that many accounts share stay packed: they are picked by.

    Parameters
    ----------
    column : str
        Its name.
    kind : str
        Its type.

    Returns
    -------
    (str, str)
        The expression that is stored, and its type with how it is compressed.
    """
    if column in LISTS:
        text = f"to_json({column})::varchar" if kind == "VARCHAR[]" else f"{column}::varchar"
        return f"{text} as {column}", f"varchar{PLAIN}"
    is_shared = kind == "VARCHAR" and column not in OWN_TEXTS
    return column, kind if is_shared else f"{kind}{PLAIN}"


def place_in(column: str) -> str:
    """Return the column that holds the place of each account in the order of another."""
    return f"place_by_{column}"
