"""The portfolio: what is at stake for a visitor, where it is, and whom to call."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from pipelines.dashboard.access.notes import as_seen_by
from pipelines.dashboard.access.visitor import VisitorOf
from pipelines.dashboard.panel.panel import Panel
from pipelines.dashboard.portfolio.list_pages import ListedAccount
from pipelines.dashboard.portfolio.trend_bars import trend_bars
from pipelines.dashboard.snapshot.portfolio_view import PortfolioView, portfolio_of
from pipelines.portfolio.sums import BandSummary, PartSummary
from pipelines.portfolio.words import interval, stake_words
from pipelines.reports.wording import amount, count, day, money, percent, plural

router = APIRouter()


class ForecastAnswer(BaseModel):
    """An expected sum and its 90 % interval."""

    expected: float
    low: float
    high: float


class BandAnswer(BaseModel):
    """One band."""

    band: str
    accounts: int
    arr: float | None
    expected_rate: float
    observed_rate: float | None = None
    observed_low: float | None = None
    observed_high: float | None = None


class PartAnswer(BaseModel):
    """A part of the book; no name stands for accounts of which it is not known."""

    name: str | None
    accounts: int
    arr: float | None
    expected_accounts: float
    expected_arr: float | None
    bands: list[BandAnswer]


class SplitAnswer(BaseModel):
    """The book split by one facet, most at stake first."""

    facet: str
    label: str
    parts: list[PartAnswer]
    left_out: int


class CallAnswer(BaseModel):
    """An account to call, why, and what to do."""

    account: ListedAccount
    reasons: list[str]
    play: str | None


class TrendAnswer(BaseModel):
    """A band of an earlier run."""

    as_of: str
    model_version: str
    band: str
    accounts: int
    mrr: float | None
    mean_score: float | None


class PortfolioAnswer(BaseModel):
    """What is at stake in the accounts a visitor sees."""

    outcome: str
    as_of: str
    model_version: str
    revision: int
    accounts: int
    arr: float | None
    accounts_without_arr: int
    expected_accounts: ForecastAnswer
    expected_arr: ForecastAnswer | None
    bands: list[BandAnswer]
    splits: list[SplitAnswer]
    calls: list[CallAnswer]
    trend: list[TrendAnswer] | None
    enough_evidence: bool
    notes: list[str]


@router.get("/", include_in_schema=False)
def portfolio_page(request: Request, visitor: VisitorOf) -> HTMLResponse:
    """Show the portfolio."""
    panel: Panel = request.app.state.panel
    project = panel.project_of(request)
    snapshot = panel.snapshot_of(request)
    view, outcome = portfolio_of(snapshot, visitor, project), project.settings.outcome
    words = stake_words(outcome)
    opens = snapshot.run.key.as_of + timedelta(days=outcome.lead_days)
    until = opens + timedelta(days=outcome.horizon_days - 1)
    history = snapshot.contents.history if visitor.sees_all else []
    return panel.render(
        request,
        "portfolio.html.j2",
        page_title="Portfolio",
        words=words,
        view=view,
        headline=_headline(view, words.verb, outcome.kind, until),
        figures=_figures(view, words.total, words.verb),
        foretells=snapshot.contents.foretells or snapshot.model is None,
        at_decisions=snapshot.model is not None and snapshot.model.timing is not None,
        opens=opens,
        until=until,
        trend=trend_bars(history, [band.band for band in view.bands]),
        plays=project.settings.plays,
        notes=as_seen_by(visitor, snapshot.contents.notes),
    )


@router.get("/api/v1/portfolio", tags=["portfolio"])
def portfolio_answer(
    request: Request,
    visitor: VisitorOf,
    outcome: Annotated[str, Query(max_length=60)] = "main",
) -> PortfolioAnswer:
    """Sum up the accounts that the visitor sees."""
    panel: Panel = request.app.state.panel
    snapshot = panel.snapshot_of(request)
    view, run = portfolio_of(snapshot, visitor, panel.project_of(request)), snapshot.run
    history = [
        TrendAnswer.model_validate({**row, "as_of": row["as_of"].isoformat()})
        for row in snapshot.contents.history
    ]
    return PortfolioAnswer(
        outcome=run.key.outcome,
        as_of=run.key.as_of.isoformat(),
        model_version=run.key.model_version,
        revision=run.revision,
        accounts=view.accounts,
        arr=view.arr,
        accounts_without_arr=view.unpriced,
        expected_accounts=ForecastAnswer(**view.expected_accounts.to_dict()),
        expected_arr=view.expected_arr and ForecastAnswer(**view.expected_arr.to_dict()),
        bands=[_band(band) for band in view.bands],
        splits=[
            SplitAnswer(
                facet=split.facet,
                label=split.label,
                parts=[_part(part) for part in split.parts],
                left_out=split.left_out,
            )
            for split in view.splits
        ],
        calls=[
            CallAnswer(
                account=ListedAccount.model_validate(call.row),
                reasons=[reason.sentence for reason in call.reasons],
                play=call.play,
            )
            for call in view.calls
        ],
        trend=history if visitor.sees_all else None,
        enough_evidence=snapshot.contents.foretells,
        notes=as_seen_by(visitor, snapshot.contents.notes),
    )


def _band(band: BandSummary) -> BandAnswer:
    own, seen = asdict(band), band.observed
    del own["observed"]
    if seen is None:
        return BandAnswer(**own)
    return BandAnswer(
        **own,
        observed_rate=seen["observed_rate"],
        observed_low=seen["low"],
        observed_high=seen["high"],
    )


def _part(part: PartSummary) -> PartAnswer:
    return PartAnswer(
        name=None if part.name is None else str(part.name),
        accounts=part.accounts,
        arr=part.arr,
        expected_accounts=part.expected_accounts,
        expected_arr=part.expected_arr,
        bands=[_band(band) for band in part.bands],
    )


def _headline(view: PortfolioView, verb: str, kind: str, until: date) -> str:
    """Say in one sentence what is at stake."""
    if not view.accounts:
        return "None of the accounts you may see was scored"
    if view.expected_arr is None:
        return (
            f"About {amount(view.expected_accounts.expected)} of"
            f" {plural(view.accounts, 'account')} are expected to {verb} by {day(until)}"
        )
    if kind == "churn":
        return (
            f"About {money(view.expected_arr.expected)} of {money(view.arr)} ARR is expected to be"
            f" lost by {day(until)}"
        )
    return (
        f"Accounts with about {money(view.expected_arr.expected)} of {money(view.arr)} ARR are"
        f" expected to {verb} by {day(until)}"
    )


def _figures(view: PortfolioView, total: str, verb: str) -> list[tuple[str, str, str]]:
    """List the key figures: what each is, the figure, and how sure it is."""
    first = view.bands[0]
    figures = []
    if view.expected_arr is not None and view.arr is not None:
        share = percent(view.expected_arr.expected / view.arr if view.arr else None)
        sure = f"{interval(view.expected_arr, is_money=True)}; {share} of the ARR"
        figures.append((total, money(view.expected_arr.expected), sure))
    expected = view.expected_accounts
    sure = f"{interval(expected, is_money=False)}, of {count(view.accounts)}"
    figures.append((f"Accounts expected to {verb}", amount(expected.expected), sure))
    if first.arr is not None and view.arr:
        sure = f"{plural(first.accounts, 'account')}; {percent(first.arr / view.arr)} of the ARR"
        figures.append((f"ARR {first.band}", money(first.arr), sure))
    else:
        share = percent(first.accounts / view.accounts if view.accounts else None)
        figures.append((f"Accounts {first.band}", count(first.accounts), f"{share} of all"))
    return figures
