"""A digest: what changed in a book since the run before, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from pipelines.dashboard.snapshot.calls import calls_of
from pipelines.dashboard.snapshot.changes import compared, why_moved
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.dashboard.snapshot.schema import RENEWAL
from pipelines.portfolio.words import stake_words
from pipelines.portfolio.worklist.calls import Call
from pipelines.portfolio.worklist.ranking import ranked_by
from pipelines.project.records.calls import call_book, told
from pipelines.reports.freshness import freshness_of
from pipelines.reports.wording import day, money, percent, plural, short_day, signed_points
from pipelines.store.runs import now

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project

SHOWN, CALLS = 8, 5
NOBODY = "nobody looks after it"
RENEWS_DAYS, SOON_DAYS = 60, 14
"""Renewals are told when they come within the first, and once more within the second."""


@dataclass(frozen=True)
class Item:
    """One line of a digest.

    Parameters
    ----------
    key : str
        What is told, by which it is told once.
    account_id : str
        The account.
    name : str
        What people call it.
    about : str
        What is told of it.
    """

    key: str
    account_id: str
    name: str
    about: str


@dataclass(frozen=True)
class Part:
    """Lines of one kind.

    Parameters
    ----------
    title : str
        What they have in common.
    items : list of Item
        The largest first.
    left_out : int
        Lines beside these.
    """

    title: str
    items: list[Item]
    left_out: int = 0


@dataclass(frozen=True)
class Digest:
    """What somebody should hear of their book.

    Parameters
    ----------
    owner : str or None
        Whose book; None for all accounts.
    outcome, as_of, model_version
        Which scores it tells of.
    headline : str
        The book in one sentence.
    since : str or None
        What changed, in one sentence; None where there is no run before.
    outdated : str or None
        What the clock says, where the scores are not of today.
    parts : list of Part
        Entered, worse, better and renewals; those without lines are left out.
    calls : list of Call
        Whom to call first.
    done : dict of str to str
        What was done about those of them that something was done about, in words, by account.
    worth : str
        What a call's probability times its ARR is.
    has_owners : bool
        Whether owners are told, as where all accounts are.
    """

    owner: str | None
    outcome: str
    as_of: date
    model_version: str
    headline: str
    since: str | None
    outdated: str | None
    parts: list[Part]
    calls: list[Call]
    done: Mapping[str, str] = field(default_factory=dict)
    worth: str = "expected loss"
    has_owners: bool = False

    @property
    def title(self) -> str:
        """What the digest is of."""
        whose = "All accounts" if self.owner is None else f"Accounts of {self.owner}"
        return f"{whose}, {day(self.as_of)}"

    @property
    def keys(self) -> list[str]:
        """What it tells, by key."""
        return [item.key for part in self.parts for item in part.items]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing new to tell."""
        return not self.parts

    def about(self, call: Call) -> str:
        """Say what is at stake in a call, and for whom it is."""
        said = [] if call.stake is None else [f"{self.worth} {money(call.stake)}"]
        said += [call.owner or NOBODY] if self.has_owners else []
        return "; ".join(said)

    def without(self, told: frozenset[str]) -> Digest:
        """Return the digest without what was told before."""
        parts = [
            Part(part.title, [item for item in part.items if item.key not in told], part.left_out)
            for part in self.parts
        ]
        kept = [part for part in parts if part.items]
        return replace(self, parts=kept)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "owner": self.owner,
            "outcome": self.outcome,
            "as_of": self.as_of.isoformat(),
            "model_version": self.model_version,
            "headline": self.headline,
            "since": self.since,
            "outdated": self.outdated,
            "parts": [
                {
                    "title": part.title,
                    "left_out": part.left_out,
                    "accounts": [
                        {"account_id": item.account_id, "name": item.name, "about": item.about}
                        for item in part.items
                    ],
                }
                for part in self.parts
            ],
            "calls": [
                {
                    "account_id": call.account_id,
                    "name": call.name,
                    "expected_loss": call.stake,
                    "reasons": call.sentences,
                    "play": call.play,
                    "done": self.done.get(call.account_id),
                }
                for call in self.calls
            ],
        }


def digest_of(project: Project, book: Snapshot, reader: Visitor, owner: str | None) -> Digest:
    """Put the digest of a book together.

    Moves of less than 5 points that cross no band are noise, and are not told.

    Parameters
    ----------
    project : Project
        The configuration, of the book's outcome.
    book : Snapshot
        The newest run, and the one before.
    reader : Visitor
        Whose accounts are told of.
    owner : str or None
        What they are called; None for everybody.
    """
    words = stake_words(project.settings.outcome)
    changes, key = compared(book, reader), book.run.key
    rank, band = ranked_by(has_money=book.has_money), book.contents.first_band
    fresh = freshness_of(project.settings.outcome, key.as_of)
    has_owners = owner is None and book.has_owners
    parts = []
    if changes is not None:
        for name, title, move in (
            ("entered", f"New in {band}", ("entered",)),
            ("worse", "Worse", ("worse",)),
            ("better", "Better", ("left", "up")),
        ):
            query = AccountQuery(moved=move, sort=rank, size=SHOWN, without=book.contents.erased)
            parts.append(_part(book, reader, query, name, title, has_owners=has_owners))
    if book.has_renewals:
        parts.append(_renewals(book, reader, has_owners=has_owners))
    page = page_of(book, reader, AccountQuery(sort=rank, size=1))
    stake = f", {words.within} {money(page.stake)}" if page.stake is not None else ""
    arr = f", ARR {money(page.arr)}" if page.arr is not None else ""
    opened = calls_of(book, reader, project, AccountQuery(wanted={"band": (band,)}, size=CALLS))
    standings = call_book(project.folder).standings(now().date())
    calls = [one.call for one in opened]
    done = {one.account_id: told(standings, one.account_id)[0] for one in calls}
    return Digest(
        owner=owner,
        outcome=key.outcome,
        as_of=key.as_of,
        model_version=key.model_version,
        headline=f"{plural(page.total, 'account')}{arr}{stake}",
        since=None if changes is None else changes.sentence(words.stake),
        outdated=fresh.note,
        parts=[part for part in parts if part.items],
        calls=calls,
        done={account: words for account, words in done.items() if words not in ("", "open")},
        worth=words.within,
        has_owners=has_owners,
    )


def _part(
    book: Snapshot,
    reader: Visitor,
    query: AccountQuery,
    name: str,
    title: str,
    *,
    has_owners: bool,
) -> Part:
    page = page_of(book, reader, query)
    items = []
    for row in page.rows:
        why = why_moved(book.model, row)
        moved = f"{row['score_before']:.1f} → {row['score']:.1f} ({signed_points(row['change'])})"
        worth = f"ARR {money(row['arr'])}, " if row["arr"] is not None else ""
        if row["band"] != row["band_before"]:
            moved += f", {row['band_before']} → {row['band']}"
        about = f"{worth}score {moved}" + (f"; {why}" if why else "")
        key = f"{name}:{row['account_id']}:{book.run.key.as_of}"
        items.append(Item(key, row["account_id"], _name(row), about + _whose(row, has_owners)))
    return Part(title, items, page.total - len(page.rows))


def _renewals(book: Snapshot, reader: Visitor, *, has_owners: bool) -> Part:
    query = AccountQuery(
        renews_days=RENEWS_DAYS,
        sort=RENEWAL,
        descending=False,
        size=SHOWN,
        without=book.contents.erased,
    )
    page, as_of = page_of(book, reader, query), book.run.key.as_of
    items = []
    for row in page.rows:
        stage = SOON_DAYS if (row[RENEWAL] - as_of).days <= SOON_DAYS else RENEWS_DAYS
        worth = f"ARR {money(row['arr'])}, " if row["arr"] is not None else ""
        # The outcome window may begin after the renewal, or end before it.
        due = row["probability_if_due"]
        chance = percent(row["probability"] if due is None else due)
        about = (
            f"{short_day(row[RENEWAL])}, {worth}{row['band']} ({row['score']:.1f}), chance"
            f" {chance}{'' if due is None else ' at the renewal'}"
        )
        key = f"renewal:{row['account_id']}:{row[RENEWAL]}:{stage}"
        items.append(Item(key, row["account_id"], _name(row), about + _whose(row, has_owners)))
    return Part(f"Renews within {RENEWS_DAYS} days", items, page.total - len(page.rows))


def _whose(row: Mapping[str, Any], has_owners: bool) -> str:
    return f"; {row['owner'] or NOBODY}" if has_owners else ""


def _name(row: Mapping[str, Any]) -> str:
    return str(row["name"] or row["account_id"])
