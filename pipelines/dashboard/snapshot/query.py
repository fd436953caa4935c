"""Queries of the list of accounts: search, filters, order and place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAR = 5.0
"""Points from which a score has moved: the odds of the outcome are 1.4 times what they were."""
MOVES: Mapping[str, str] = {
    "down": f"change <= -{FAR:g}",
    "worse": f"change <= -{FAR:g} and not (band = ? and band_before <> band)",
    "up": f"change >= {FAR:g}",
    "entered": "band = ? and band_before <> band",
    "left": "band_before = ? and band_before <> band",
    "new": "score_before is null",
}
"""How accounts moved since the run before, as conditions; ``?`` is the first band."""

OPEN = "open"
STATES: Mapping[str, str] = {
    OPEN: "open",
    "called": "called in the last 30 days",
    "snoozed": "snoozed",
}
"""States of a call, and what people read; whose call nobody wrote of is open."""


@dataclass(frozen=True)
class AccountQuery:
    """A view of the list.

    Parameters
    ----------
    search : str
        Accounts whose id, name or owner hold each of these words, in any order and whatever their
        case and accents.
    wanted : mapping of str to tuple of str
        Facet to the values that are wanted of it, such as ``{"band": ("watch",)}``; "" stands for
        accounts of which it is not known.
    score_from, score_to : float or None
        Scores between these, both included.
    sort : str
        A column of :data:`pipelines.dashboard.snapshot.schema.SORTED`, or an attribute.
    descending : bool
        Whether the largest come first; what is not known comes last in either order.
    after, before : str or None
        Begin after this account, or end before it, in that order. An account that is not there
        stands for the beginning.
    at_end : bool
        Whether the last page is wanted.
    size : int
        Most accounts.
    moved : tuple of str
        Keys of :data:`MOVES`: accounts that did any of these since the run before.
    renews_days : int or None
        Accounts whose contract renews within so many days of the date of the scores.
    shown : tuple of str
        Columns that are shown; the usual ones where there are none.
    states : tuple of str
        Keys of :data:`STATES`: accounts whose call is in any of these.
    called : mapping of str to str
        Account to the state of its call, of those whose call is not open.
    without : tuple of str
        Accounts that are not in the view.
    """

    search: str = ""
    wanted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    score_from: float | None = None
    score_to: float | None = None
    sort: str = "stake"
    descending: bool = True
    after: str | None = None
    before: str | None = None
    at_end: bool = False
    size: int = 50
    moved: tuple[str, ...] = ()
    renews_days: int | None = None
    shown: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccountPage:
    """Accounts of a view, in its order.

    Parameters
    ----------
    rows : list of dict
        One each, in the columns of :data:`pipelines.dashboard.snapshot.schema.LISTED`.
    total : int
        Accounts in the view.
    first : int
        Place of the first row in the view, from 1; 0 where there is none.
    arr, stake : float or None
        Sums over the view; None where that of no account in it is known.
    """

    rows: list[dict[str, Any]]
    total: int
    first: int
    arr: float | None = None
    stake: float | None = None

    @property
    def last(self) -> int:
        """Place of the last row in the view."""
        return self.first + len(self.rows) - 1 if self.rows else 0

    @property
    def has_previous(self) -> bool:
        """Whether accounts come before these."""
        return bool(self.rows) and self.first > 1

    @property
    def has_next(self) -> bool:
        """Whether accounts come after these."""
        return bool(self.rows) and self.last < self.total
