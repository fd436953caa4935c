"""One page for each of some accounts, and before several of them a page on all: for a meeting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.errors import DataError, sample
from pipelines.dashboard.account.view import AccountView, account_view, key_figures
from pipelines.dashboard.snapshot.calls import called, calls_of
from pipelines.dashboard.snapshot.changes import why_moved
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.portfolio.outbox.book import opened_book, reader_of
from pipelines.portfolio.outbox.digest import Digest, digest_of
from pipelines.project.project import Project
from pipelines.project.records.calls import CallEntry, Standing, call_book
from pipelines.project.records.overrides import Override, override_book
from pipelines.reports.freshness import freshness_of
from pipelines.reports.rendering import render
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import day, short_day, signed_points
from pipelines.store.runs import now

if TYPE_CHECKING:
    from markupsafe import Markup

    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.portfolio.worklist.calls import Call

SHOWN_ENTRIES = 4
"""So many entries on what was done are told, the newest first."""


@dataclass(frozen=True)
class Sheet:
    """The page of an account.

    Parameters
    ----------
    view : AccountView
        What its page in the control panel says.
    call : Call
        Its reasons with what they are about, and the play.
    figures : list of (str, str, str)
        What stands at the top: what, the figure, and what it means.
    moved : str
        What moved its score since the run before; empty where there was none.
    standing : Standing or None
        What was done about it last.
    entries : tuple of CallEntry
        What was done, the newest first.
    override : Override or None
        What somebody says instead of the score.
    """

    view: AccountView
    call: Call
    figures: list[tuple[str, str | Markup, str]]
    moved: str
    standing: Standing | None
    entries: tuple[CallEntry, ...]
    override: Override | None

    @property
    def renewal(self) -> str:
        """When its contract renews next, in words; empty where not known."""
        return "" if self.call.renewal is None else f"renews {short_day(self.call.renewal)}"


@dataclass(frozen=True)
class Pack:
    """Sheets, and what is said of all accounts before them.

    Parameters
    ----------
    digest : Digest or None
        Of the book; None where a single account was asked for.
    sheets : list of Sheet
        The accounts, in order of expected loss unless they were named.
    as_of : date
        Date of the scores.
    model_version : str
        What made them.
    issued : str
        When they were issued.
    outdated : str or None
        What the clock says of them, where they are not of today.
    """

    digest: Digest | None
    sheets: list[Sheet]
    as_of: date
    model_version: str
    issued: str
    outdated: str | None

    def html(self, *, is_wide: bool) -> str:
        """Write it as one self-contained page; ``is_wide`` is 16:9, else A4."""
        dated = (
            f"{plain(self.sheets[0].view.called)}, {day(self.as_of)}" if self.sheets else "Accounts"
        )
        return render(
            "pack.html.j2",
            page_title=plain(self.digest.title) if self.digest else dated,
            pack=self,
            is_wide=is_wide,
        )


def pack_of(
    project: Project,
    accounts: Sequence[str],
    *,
    owner: str | None,
    first: int,
    as_of: date | None = None,
) -> Pack:
    """Put a pack together.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    accounts : sequence of str
        Which; where none are named, the first of the worklist.
    owner : str or None
        Whose accounts; everybody's when None.
    first : int
        So many of the worklist.
    as_of : date, optional
        The run's date; the newest by default.

    Raises
    ------
    DataError
        When an account is not among the scores, or nobody of that name looks after any.
    StoreError
        When there is no such run, or the store cannot be read.
    """
    with opened_book(project, as_of) as book:
        return pack_from(project, book, reader_of(project, book, owner), accounts, owner, first)


def pack_from(
    project: Project,
    book: Snapshot,
    reader: Visitor,
    accounts: Sequence[str],
    owner: str | None,
    first: int,
) -> Pack:
    """Put a pack of an opened book together, of what its reader may see.

    Parameters
    ----------
    project, accounts, owner, first
        As in :func:`pack_of`.
    book : Snapshot
        The scores.
    reader : Visitor
        Whose accounts there are.

    Raises
    ------
    DataError
        When an account is not among the reader's.
    """
    digest = None if len(accounts) == 1 else digest_of(project, book, reader, owner)
    if accounts:
        opened = called(book, project, [_row(book, reader, one) for one in accounts])
    else:
        opened = calls_of(book, reader, project, AccountQuery(size=first))
    today = now().date()
    standings = call_book(project.folder).standings(today)
    overrides = override_book(project.folder).standing(project.outcome_name, today)
    sheets = []
    for one in opened:
        row = _row(book, reader, one.call.account_id)
        sheets.append(_sheet(project, book, row, one.call, standings, overrides))
    run = book.run
    outdated = freshness_of(project.settings.outcome, run.key.as_of).note
    return Pack(
        digest=digest,
        sheets=sheets,
        as_of=run.key.as_of,
        model_version=run.key.model_version,
        issued=f"{run.issued_at:%Y-%m-%d %H:%M} UTC",
        outdated=outdated,
    )


def _row(book: Snapshot, reader: Visitor, account_id: str) -> dict[str, Any]:
    row = book.account(reader, account_id)
    if row is None:
        raise DataError(
            f"Account {sample([account_id])} is not among the scores of {book.run.key.as_of} that"
            " were asked for; check its id with 'healthscore export'"
        )
    return row


def _sheet(
    project: Project,
    book: Snapshot,
    row: dict[str, Any],
    call: Call,
    standings: dict[str, Standing],
    overrides: dict[str, Override],
) -> Sheet:
    view = account_view(project, row, book.model, book.run.key.as_of)
    since, moved = book.contents.since, ""
    if since is not None and row["change"] is not None:
        why = why_moved(book.model, row)
        moved = (
            f"Since {day(since.key.as_of)}: {row['score_before']:.1f} → {row['score']:.1f}"
            f" ({signed_points(row['change'])})" + (f"; most by {why}" if why else "")
        )
    entries = call_book(project.folder).of(call.account_id)[: -SHOWN_ENTRIES - 1 : -1]
    return Sheet(
        view=view,
        call=call,
        figures=key_figures(view, project.settings.outcome.words.noun),
        moved=moved,
        standing=standings.get(call.account_id),
        entries=tuple(entries),
        override=overrides.get(call.account_id),
    )
