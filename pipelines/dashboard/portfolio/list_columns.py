"""Columns of the list of accounts, and the views that come ready made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.dashboard.portfolio.list_address import address_of, is_descending
from pipelines.dashboard.snapshot.query import OPEN, AccountQuery
from pipelines.dashboard.snapshot.schema import CHANGE, LIFECYCLE, NAME, OWNER, RENEWAL
from pipelines.portfolio.worklist.ranking import ranked_by

if TYPE_CHECKING:
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.portfolio.words import StakeWords

WHY = "why"
"""The column of reasons and play, by which nothing is sorted."""
STATE = "state"
"""The column of what was done, by which nothing is sorted either."""


@dataclass(frozen=True)
class ListColumn:
    """A column of the page.

    Parameters
    ----------
    name, label : str
        What addresses and people call it.
    is_number : bool
        Whether it holds numbers.
    sorted : str or None
        The way it is sorted now.
    address : str or None
        Where sorting by it leads; None where nothing is sorted by it.
    attribute : str or None
        The column of the accounts table that it shows, if any.
    """

    name: str
    label: str
    is_number: bool
    sorted: str | None = None
    address: str | None = None
    attribute: str | None = None

    def value_in(self, row: Mapping[str, Any]) -> Any:
        """Return what a row of the list holds in this column."""
        return row[self.name] if self.attribute is None else row["attributes"][self.attribute]


@dataclass(frozen=True)
class ColumnChoice:
    """A column that can be shown or not."""

    name: str
    label: str
    is_shown: bool


def shown_columns(
    snapshot: Snapshot, query: AccountQuery, outcome: str, words: StakeWords, *, has_calls: bool
) -> list[ListColumn]:
    """List the columns of a view: those asked for, else the usual ones; the account always.

    What was done is a usual column where anything was.
    """
    chosen = _chosen(snapshot, query, words, has_calls)
    columns = []
    own = {one.name: one.column for one in snapshot.attributes}
    for name, (label, is_number, _) in _every(snapshot, words).items():
        if name not in chosen:
            continue
        if name in (WHY, STATE):
            columns.append(ListColumn(name, label, is_number))
            continue
        is_now = query.sort == name
        descending = not query.descending if is_now else is_descending(name)
        address = address_of(
            query, outcome, {"sort": name, "order": "desc" if descending else "asc"}
        )
        now = ("descending" if query.descending else "ascending") if is_now else None
        columns.append(ListColumn(name, label, is_number, now, address, own.get(name)))
    return columns


def columns_to_choose(
    snapshot: Snapshot, query: AccountQuery, words: StakeWords, *, has_calls: bool
) -> list[ColumnChoice]:
    """List what can be shown beside the account."""
    chosen = _chosen(snapshot, query, words, has_calls)
    every = list(_every(snapshot, words).items())[1:]
    return [ColumnChoice(name, label, name in chosen) for name, (label, *_) in every]


def _chosen(
    snapshot: Snapshot, query: AccountQuery, words: StakeWords, has_calls: bool
) -> set[str]:
    every = _every(snapshot, words)
    first = next(iter(every))
    asked = {name for name in query.shown if name in every}
    usual = {name for name, (_, _, is_usual) in every.items() if is_usual}
    return {first, *(asked or (usual | {STATE} if has_calls else usual))}


def _every(snapshot: Snapshot, words: StakeWords) -> dict[str, tuple[str, bool, bool]]:
    """Name every column: its label, whether it holds numbers, and whether it is usual."""
    known, has_money = snapshot.contents.known, snapshot.has_money
    is_dated = bool(known[RENEWAL])
    columns = {
        NAME if known[NAME] else "account_id": ("Account", False, True),
        OWNER: ("Owner", False, snapshot.has_owners),
        "score": ("Score", True, True),
        CHANGE: ("Change", True, bool(known[CHANGE])),
        "probability": (f"Chance of {words.noun}", True, True),
        "arr": ("ARR", True, has_money),
        "stake": (words.stake, True, has_money),
        RENEWAL: ("Renews", False, is_dated),
        WHY: ("Why, and what to do", False, True),
        STATE: ("What was done", False, False),
        "segment": ("Segment", False, False),
        LIFECYCLE: ("Stage", False, False),
        "coverage": ("Share of signals known", True, False),
    }
    own = {one.name: (one.label, not one.is_text, False) for one in snapshot.attributes}
    absent = {
        OWNER: not snapshot.has_owners,
        CHANGE: not known[CHANGE],
        "arr": not has_money,
        "stake": not has_money,
        RENEWAL: not is_dated,
        LIFECYCLE: not known[LIFECYCLE],
    }
    return {name: column for name, column in {**columns, **own}.items() if not absent.get(name)}


def views_of(snapshot: Snapshot, outcome: str, *, has_calls: bool) -> list[tuple[str, str]]:
    """List views that come ready made: what each is called, and its address.

    Where anything was done, those of the first band whose call is open are one.
    """
    rank, band = ranked_by(has_money=snapshot.has_money), snapshot.contents.first_band
    views = [(f"All {band}", AccountQuery(wanted={"band": (band,)}, sort=rank))]
    if has_calls:
        left = AccountQuery(wanted={"band": (band,)}, states=(OPEN,), sort=rank)
        views.append((f"Open calls, {band}", left))
    if snapshot.contents.since is not None:
        views += [
            (f"Entered {band}", AccountQuery(moved=("entered",), sort=rank)),
            (f"Left {band}", AccountQuery(moved=("left",), sort=rank)),
            ("Fell most", AccountQuery(moved=("down",), sort=CHANGE, descending=False)),
        ]
    if snapshot.contents.known[RENEWAL]:
        soon = AccountQuery(sort=RENEWAL, descending=False)
        views += [
            (f"Renews in {days} days", replace(soon, renews_days=days)) for days in (30, 60, 90)
        ]
    if snapshot.has_owners:
        views.append(("Without an owner", AccountQuery(wanted={OWNER: ("",)}, sort=rank)))
    return [(label, address_of(query, outcome)) for label, query in views]
