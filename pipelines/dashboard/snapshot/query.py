"""Queries of the list of accounts: search, filters, order and place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class AccountQuery:
    """A view of the list.

    Parameters
    ----------
    search : str
        Accounts whose id or name holds this text, whatever its case and accents.
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
    """

    rows: list[dict[str, Any]]
    total: int
    first: int

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
