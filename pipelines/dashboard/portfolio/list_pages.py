"""The list of accounts: a page, a file for a spreadsheet, and JSON."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated

import pyarrow as pa
import pyarrow.csv
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from markupsafe import Markup
from pydantic import BaseModel

from pipelines.dashboard.access.visitor import Visitor, VisitorOf
from pipelines.dashboard.panel.panel import LONGEST_CHOICE, Panel
from pipelines.dashboard.portfolio.list_address import (
    PATH,
    ListAddress,
    address_of,
    chips_of,
)
from pipelines.dashboard.portfolio.list_columns import (
    columns_to_choose,
    shown_columns,
    views_of,
)
from pipelines.dashboard.portfolio.spark_line import spark_line
from pipelines.dashboard.snapshot.calls import called
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import STATES, AccountPage, AccountQuery
from pipelines.dashboard.snapshot.schema import LIFECYCLE, LISTED, OWNER
from pipelines.dashboard.snapshot.snapshot import Snapshot
from pipelines.portfolio.words import StakeWords, stake_words
from pipelines.portfolio.worklist.calls import SAID
from pipelines.project.project import Project
from pipelines.project.records.calls import Standing, told
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import BANDS_CHANGE, band_limits
from pipelines.scoring.export_files import harmless, readable
from pipelines.store.runs import now

MOST_AT_ONCE = 200
CSV_ROWS = 8192
MOST_WORKED = 5000
"""So many accounts of a file, the first, have play and reasons beside them."""
REASONS = ("reason_signals", "reason_points", "reason_values")
WORKED = ("state", "note", "play", *(f"reason_{rank}" for rank in range(1, SAID + 1)))
Address = Annotated[ListAddress, Depends(ListAddress)]

OPTION = Markup('<option value="{}">{}</option>')

router = APIRouter()


class ListedAccount(BaseModel):
    """One account of the list."""

    account_id: str
    name: str | None
    owner: str | None
    lifecycle: str | None
    renewal: date | None
    change: float | None
    segment: str
    band: str
    score: float
    probability: float
    coverage: float
    mrr: float | None
    arr: float | None
    stake: float | None
    attributes: dict[str, str | float | None]


class AccountsAnswer(BaseModel):
    """A page of the list; the next one begins ``after`` its last account."""

    outcome: str
    as_of: str
    model_version: str
    revision: int
    total: int
    first: int
    arr: float | None
    stake: float | None
    accounts: list[ListedAccount]
    after: str | None
    before: str | None


@router.get(PATH, include_in_schema=False)
def list_page(request: Request, visitor: VisitorOf, address: Address) -> HTMLResponse:
    """Show a page of the list."""
    panel: Panel = request.app.state.panel
    snapshot = panel.snapshot_of(request)
    model = snapshot.model
    standings = panel.calls.standings(now().date())
    query = address.query(snapshot, panel.settings.page_size, standings)
    page = page_of(snapshot, visitor, query)
    outcome = panel.outcome_of(request)
    words = stake_words(panel.project_of(request).settings.outcome)
    return panel.render(
        request,
        "accounts.html.j2",
        page_title="Accounts",
        query=query,
        page=page,
        limits="" if model is None else band_limits(model.scale),
        by_term=model is not None and bool(model.scale.term_anchors),
        bands_change=BANDS_CHANGE,
        words=words,
        sums=[(label, told) for label, told in _sums(page, words) if told is not None],
        columns=shown_columns(snapshot, query, outcome, words, has_calls=bool(standings)),
        columns_to_choose=columns_to_choose(snapshot, query, words, has_calls=bool(standings)),
        standings=standings,
        overrides=panel.overrides.standing(snapshot.outcome, now().date()),
        views=views_of(snapshot, outcome, has_calls=bool(standings)),
        states=STATES,
        calls=called(snapshot, panel.project_of(request), page.rows),
        spark=spark_line,
        choices=_choices(snapshot, visitor, query),
        chips=list(chips_of(query, outcome)),
        turn=_turns(query, page, outcome),
        everything=address_of(AccountQuery(sort=query.sort, descending=query.descending), outcome),
        file=address_of(query, outcome, path=f"{PATH}.csv"),
    )


@router.get("/accounts.csv", include_in_schema=False)
def list_file(request: Request, visitor: VisitorOf, address: Address) -> StreamingResponse:
    """Send every account of a view as a file that spreadsheets open without running anything."""
    panel: Panel = request.app.state.panel
    snapshot = panel.snapshot_of(request)
    standings = panel.calls.standings(now().date())
    query = address.query(snapshot, MOST_AT_ONCE, standings)
    # Before the answer begins: what cannot be asked is refused.
    snapshot.order_of(query)
    snapshot.predicate(visitor, query)
    name = f"accounts-{snapshot.run.key.as_of}.csv"
    return StreamingResponse(
        _csv(snapshot, visitor, query, panel.project_of(request), standings),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@router.get("/api/v1/accounts", tags=["accounts"])
def list_answer(
    request: Request,
    visitor: VisitorOf,
    address: Address,
    size: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 50,
    outcome: Annotated[str, Query(max_length=60)] = "main",
) -> AccountsAnswer:
    """List accounts: search, pick, sort, and turn pages with ``after`` and ``before``."""
    panel: Panel = request.app.state.panel
    snapshot = panel.snapshot_of(request)
    standings = panel.calls.standings(now().date())
    page = page_of(snapshot, visitor, address.query(snapshot, size, standings))
    run, rows = snapshot.run, page.rows
    return AccountsAnswer(
        outcome=run.key.outcome,
        as_of=run.key.as_of.isoformat(),
        model_version=run.key.model_version,
        revision=run.revision,
        total=page.total,
        first=page.first,
        arr=page.arr,
        stake=page.stake,
        accounts=[ListedAccount.model_validate(row) for row in rows],
        after=rows[-1]["account_id"] if page.has_next else None,
        before=rows[0]["account_id"] if page.has_previous else None,
    )


def _sums(page: AccountPage, words: StakeWords) -> list[tuple[str, float | None]]:
    return [("ARR", page.arr), (words.within, page.stake)]


def _turns(query: AccountQuery, page: AccountPage, outcome: str) -> dict[str, str]:
    """Return the addresses of the pages around this one, of those that there are."""
    addresses: dict[str, str] = {}
    if page.has_previous or (page.total and not page.rows):
        addresses["first"] = address_of(query, outcome)
    if page.has_previous:
        addresses["previous"] = address_of(query, outcome, {"before": page.rows[0]["account_id"]})
    if page.has_next:
        addresses["next"] = address_of(query, outcome, {"after": page.rows[-1]["account_id"]})
        addresses["last"] = address_of(query, outcome, {"end": 1})
    return addresses


@dataclass(frozen=True)
class Choice:
    """A facet to pick from: what it holds as options of a form, and which of them are chosen."""

    name: str
    label: str
    options: Markup
    chosen: list[str]


def _choices(snapshot: Snapshot, visitor: Visitor, query: AccountQuery) -> list[Choice]:
    """List the facets that have something to choose between."""
    labels = {"band": "Band", "segment": "Segment", OWNER: "Owner", LIFECYCLE: "Stage"}
    labels |= {one.name: one.label for one in snapshot.attributes if one.is_text}
    choices = []
    for name, values in snapshot.values_of(visitor).items():
        known, chosen = [value for value in values if value], query.wanted.get(name, ())
        picked = [*filter(None, chosen)]
        if len(known) > 1 or chosen:
            # Of hundreds of owners writing them out takes as long as half of the rows.
            kept = snapshot.once(("options", visitor.owners, name), partial(_options, name, known))
            options = kept if set(picked) <= set(known) else _options(name, [*known, *picked])
            choices.append(Choice(name, labels[name], _selected(options, picked), picked))
    return choices


def _options(name: str, values: Sequence[str]) -> Markup:
    """Write the options of a facet, whatever markup the values hold."""
    words = segment_words if name == "segment" else str
    return Markup("\n").join(
        OPTION.format(value, plain(words(value), LONGEST_CHOICE))
        for value in sorted(set(values), key=str.casefold)
    )


def _selected(options: Markup, chosen: Sequence[str]) -> Markup:
    for value in chosen:
        plainly = OPTION.partition(">")[0].format(value) + Markup(">")
        options = options.replace(plainly, plainly[:-1] + Markup(" selected>"))
    return options


def _csv(
    snapshot: Snapshot,
    visitor: Visitor,
    query: AccountQuery,
    project: Project,
    standings: Mapping[str, Standing],
) -> Iterator[bytes]:
    """Write a view batch by batch; words of others stay words in every spreadsheet."""
    own = (*LISTED, *(one.stored for one in snapshot.attributes))
    headings = [*LISTED, *(one.column for one in snapshot.attributes), *WORKED]
    safe = harmless(readable(pa.array(headings, pa.string()))).to_pylist()
    sink, writer, met = io.BytesIO(), None, 0
    for batch in snapshot.batches(visitor, query, (*own, *REASONS), CSV_ROWS):
        named = batch[: max(0, MOST_WORKED - met)]
        met += batch.num_rows
        done = [told(standings, account) for account in batch.column("account_id").to_pylist()]
        lines = [*_said(snapshot, project, named), *[()] * (batch.num_rows - named.num_rows)]
        worked = [(*both, *line) for both, line in zip(done, lines, strict=True)]
        beside = (
            pa.array([line[place] if place < len(line) else "" for line in worked], pa.string())
            for place in range(len(WORKED))
        )
        arrays = [
            harmless(readable(column)) if pa.types.is_string(column.type) else column
            for column in (*batch.columns[: len(own)], *beside)
        ]
        written = pa.RecordBatch.from_arrays(arrays, names=safe)
        if writer is None:
            options = pa.csv.WriteOptions(quoting_style="needed")
            writer = pa.csv.CSVWriter(sink, written.schema, write_options=options)
        writer.write_batch(written)
        yield sink.getvalue()
        sink.seek(0)
        sink.truncate()
    if writer is None:
        yield (",".join(f'"{heading}"' for heading in safe) + "\n").encode()


def _said(snapshot: Snapshot, project: Project, batch: pa.RecordBatch) -> list[tuple[str, ...]]:
    """Say of each account the play and the reasons, as the page does."""
    calls = called(snapshot, project, batch.to_pylist())
    return [(one.call.play or "", *one.call.sentences[:SAID]) for one in calls]
