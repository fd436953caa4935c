"""The columns of a snapshot: issued scores, attributes, and the places in each order."""

from __future__ import annotations

from dataclasses import dataclass

from features.catalog import signal_label
from pipelines.store.schema import SCORE_SCHEMA

MONTHS = 12
NAME, OWNER, LIFECYCLE, RENEWAL = "name", "owner", "lifecycle", "renewal"
CHANGE = "change"
SCORED = tuple(SCORE_SCHEMA.names)
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
    "grade",
    "score",
    "probability",
    "coverage",
    "mrr",
    *MONEY,
)
BESIDE = (
    *EARLIER,
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
"""Columns by which accounts are sorted, beside attributes; band and grade go as the score does."""
ALIKE = {"band": "probability", "grade": "score", "mrr": "arr"}
"""Columns that are sorted by another one."""
FACETS = ("band", "segment", OWNER, LIFECYCLE)
"""Columns by which accounts are picked, beside attributes."""
RESERVED = frozenset({*SCORED, *FIXED, *MONEY, "q", "sort", "after", "before", "end", "outcome"})
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


def place_in(column: str) -> str:
    """Return the column that holds the place of each account in the order of another."""
    return f"place_by_{column}"
