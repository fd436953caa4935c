"""The list of accounts as an address says it: whoever is sent the address sees the same view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import BeforeValidator, Field

from pipelines.dashboard.panel.panel import link_to
from pipelines.dashboard.snapshot.query import MOVES, OPEN, STATES, AccountQuery
from pipelines.dashboard.snapshot.snapshot import LONGEST_SEARCH, NOT_KNOWN, Snapshot
from pipelines.portfolio.worklist.ranking import ranked_by

if TYPE_CHECKING:
    from pipelines.project.records.calls import Standing

PATH = "/accounts"
MOST_VALUES = 50
MOVED = {
    "down": "fell by 5 points or more",
    "worse": "fell by 5 points or more without entering the first band",
    "up": "rose by 5 points or more",
    "entered": "entered the first band",
    "left": "left the first band",
    "new": "scored for the first time",
}
LONGEST_ID = 1000


def _if_given(value: Any) -> Any:
    """Take an empty field of a form for one that was not filled in."""
    return None if value == "" else value


Score = Annotated[Annotated[float, Field(ge=0, le=100)] | None, BeforeValidator(_if_given), Query()]
Days = Annotated[
    Annotated[int, Field(ge=0, le=3660)] | None,
    BeforeValidator(_if_given),
    Query(description="The contract renews within so many days of the scores' date."),
]
Values = Annotated[list[str], Query(max_length=MOST_VALUES)]


@dataclass(frozen=True)
class Chip:
    """Something that was picked, and the address of the view without it."""

    label: str
    value: str | None
    without: str


class ListAddress:
    """The parameters of the list's address; a dependency of its routes.

    A facet may be named several times: accounts with any of the values are in the view. Attributes
    of the accounts table, such as ``plan``, are facets too. ``unknown`` names facets of which
    accounts in the view are not known.
    """

    def __init__(
        self,
        request: Request,
        q: Annotated[
            str, Query(max_length=LONGEST_SEARCH, description="Words of id, name or owner.")
        ] = "",
        band: Values = [],  # noqa: B006 - FastAPI copies it
        segment: Values = [],  # noqa: B006
        owner: Values = [],  # noqa: B006
        lifecycle: Values = [],  # noqa: B006
        unknown: Values = [],  # noqa: B006
        moved: Annotated[
            list[str],
            Query(max_length=MOST_VALUES, description=f"Any of {', '.join(MOVES)}, since before."),
        ] = [],  # noqa: B006
        state: Annotated[
            list[str],
            Query(max_length=MOST_VALUES, description=f"Of the call: any of {', '.join(STATES)}."),
        ] = [],  # noqa: B006
        renews: Days = None,
        show: Annotated[
            list[str], Query(max_length=MOST_VALUES, description="Columns of the page.")
        ] = [],  # noqa: B006
        score_from: Score = None,
        score_to: Score = None,
        sort: Annotated[str, Query(max_length=80)] = "",
        order: Annotated[Literal["asc", "desc", ""], Query()] = "",
        after: Annotated[str | None, Query(max_length=LONGEST_ID)] = None,
        before: Annotated[str | None, Query(max_length=LONGEST_ID)] = None,
        end: Annotated[bool, BeforeValidator(lambda value: value or False), Query()] = False,
    ) -> None:
        self.request = request
        self.search = q
        self.picked = {"band": band, "segment": segment, "owner": owner, "lifecycle": lifecycle}
        self.unknown = unknown
        self.moved, self.renews = tuple(one for one in moved if one), renews
        self.shown = tuple(one for one in show if one)
        self.states = tuple(one for one in state if one)
        self.score_from, self.score_to = score_from, score_to
        self.sort, self.order = sort, order
        self.after, self.before, self.at_end = after or None, before or None, end

    def query(
        self, snapshot: Snapshot, size: int, standings: Mapping[str, Standing]
    ) -> AccountQuery:
        """Return what is asked of a snapshot.

        Parameters
        ----------
        snapshot : Snapshot
            Where accounts are.
        size : int
            Most accounts of a page.
        standings : mapping of str to Standing
            What was done about accounts, as of today.
        """
        sort = self.sort or ranked_by(has_money=snapshot.has_money)
        wanted = {name: [one for one in values if one] for name, values in self.picked.items()}
        for attribute in snapshot.attributes:
            if attribute.is_text:
                given = self.request.query_params.getlist(attribute.name)[:MOST_VALUES]
                wanted[attribute.name] = [one for one in given if one]
        for facet in self.unknown:
            if facet:
                wanted.setdefault(facet, []).append(NOT_KNOWN)
        return AccountQuery(
            search=self.search,
            wanted={name: tuple(values) for name, values in wanted.items() if values},
            score_from=self.score_from,
            score_to=self.score_to,
            moved=self.moved,
            renews_days=self.renews,
            sort=sort,
            descending=is_descending(sort) if not self.order else self.order == "desc",
            after=self.after,
            before=self.before,
            at_end=self.at_end,
            size=size,
            shown=self.shown,
            states=self.states,
            called={
                account: standing.state
                for account, standing in standings.items()
                if self.states and standing.state != OPEN
            },
        )


def is_descending(sort: str) -> bool:
    """Tell which way a column is sorted when nobody says: money and risk from the top."""
    return sort in ("stake", "arr", "mrr", "probability")


def address_of(
    query: AccountQuery, outcome: str, other: Mapping[str, object] | None = None, path: str = PATH
) -> str:
    """Write the address of a view; ``other`` parameters stand in for its own.

    The place in the list is left out, so that what changes a view leads to its beginning.
    """
    wanted = {name: [one for one in values if one] for name, values in query.wanted.items()}
    own: dict[str, object] = {
        "q": query.search,
        **wanted,
        "unknown": [name for name, values in query.wanted.items() if NOT_KNOWN in values],
        "moved": list(query.moved),
        "renews": query.renews_days,
        "show": list(query.shown),
        "state": list(query.states),
        "score_from": _number(query.score_from),
        "score_to": _number(query.score_to),
        "sort": query.sort,
        "order": "desc" if query.descending else "asc",
    }
    parameters = {name: value for name, value in {**own, **(other or {})}.items() if value != []}
    return link_to(path, outcome, **parameters)


def chips_of(query: AccountQuery, outcome: str) -> Iterator[Chip]:
    """List what was picked, each with the way back."""
    if query.search:
        yield Chip("search", query.search, address_of(query, outcome, {"q": ""}))
    for name, values in query.wanted.items():
        for value in values:
            rest = [one for one in values if one not in (value, NOT_KNOWN)]
            unknown = [
                other
                for other, held in query.wanted.items()
                if NOT_KNOWN in held and (other != name or value != NOT_KNOWN)
            ]
            without = address_of(query, outcome, {name: rest, "unknown": unknown})
            yield Chip(name, value or None, without)
    for value in query.moved:
        rest = [one for one in query.moved if one != value]
        yield Chip("since before", MOVED[value], address_of(query, outcome, {"moved": rest}))
    for value in query.states:
        rest = [one for one in query.states if one != value]
        yield Chip("call", STATES[value], address_of(query, outcome, {"state": rest}))
    if query.renews_days is not None:
        days = f"within {query.renews_days} days"
        yield Chip("renews", days, address_of(query, outcome, {"renews": None}))
    for name, bound in (("score_from", query.score_from), ("score_to", query.score_to)):
        if bound is not None:
            label = "score from" if name == "score_from" else "score up to"
            yield Chip(label, f"{bound:g}", address_of(query, outcome, {name: None}))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
