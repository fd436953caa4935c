"""The portfolio: what is at stake for a visitor, where it is, and whom to call."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from pipelines.dashboard.access.notes import as_seen_by
from pipelines.dashboard.access.visitor import VisitorOf
from pipelines.dashboard.panel.panel import Panel
from pipelines.dashboard.portfolio.figures import figures_of
from pipelines.dashboard.portfolio.list_pages import ListedAccount
from pipelines.dashboard.portfolio.spark_line import spark_line
from pipelines.dashboard.portfolio.trend_bars import trend_bars
from pipelines.dashboard.snapshot.portfolio_view import PortfolioView, portfolio_of
from pipelines.portfolio.sums import BandSummary, PartSummary
from pipelines.portfolio.words import Stake, StakeWords, stake_sentence, stake_words
from pipelines.reports.wording import band_limits, prior_words
from pipelines.store.runs import now

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeSettings
    from pipelines.dashboard.snapshot.changes import Changes, Mover

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


class MoverAnswer(BaseModel):
    """An account that entered or left the first band, and what moved it."""

    account: ListedAccount
    score_before: float
    why: str


class ChangesAnswer(BaseModel):
    """The book beside what it was in the run of the date before."""

    as_of: str
    model_version: str
    sentence: str
    expected_arr_before: float | None
    expected_accounts_before: float
    arr_before: float | None
    accounts_before: int
    band: str
    band_accounts_before: int
    entered: int
    entered_arr: float | None
    left: int
    left_arr: float | None
    new: int
    gone: int
    gone_arr: float | None
    movers_in: list[MoverAnswer]
    movers_out: list[MoverAnswer]


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
    changes: ChangesAnswer | None
    trend: list[TrendAnswer]
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
    history = snapshot.history_of(visitor)
    return panel.render(
        request,
        "portfolio.html.j2",
        page_title="Portfolio",
        words=words,
        view=view,
        headline=_headline(view, words, until, is_over=panel.freshness_of(snapshot).is_over),
        figures=figures_of(view, words),
        said=None if view.changes is None else view.changes.sentence(words.stake),
        spark=spark_line,
        standings=panel.calls.standings(now().date()),
        overrides=panel.overrides.standing(snapshot.outcome, now().date()),
        prior=prior_words(snapshot.model, outcome.words),
        foretells=snapshot.contents.foretells or snapshot.model is None,
        at_decisions=snapshot.model is not None and snapshot.model.timing is not None,
        limits="" if snapshot.model is None else band_limits(snapshot.model.scale),
        opens=opens,
        until=until,
        trend=trend_bars(history, [band.band for band in view.bands]),
        plays=project.settings.plays,
        is_good=outcome.is_good,
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
        for row in snapshot.history_of(visitor)
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
                account=ListedAccount.model_validate(one.row),
                reasons=one.call.sentences,
                play=one.call.play,
            )
            for one in view.calls
        ],
        changes=_changes(view.changes, panel.project_of(request).settings.outcome),
        trend=history,
        enough_evidence=snapshot.contents.foretells,
        notes=as_seen_by(visitor, snapshot.contents.notes),
    )


def _changes(changes: Changes | None, outcome: OutcomeSettings) -> ChangesAnswer | None:
    if changes is None:
        return None

    def known(amount: float) -> float | None:
        return amount if changes.has_money else None

    def listed(movers: list[Mover]) -> list[MoverAnswer]:
        return [
            MoverAnswer(
                account=ListedAccount.model_validate(mover.row),
                score_before=mover.row["score_before"],
                why=mover.why,
            )
            for mover in movers
        ]

    return ChangesAnswer(
        as_of=changes.as_of.isoformat(),
        model_version=changes.model_before,
        sentence=changes.sentence(stake_words(outcome).stake),
        expected_arr_before=known(changes.whole_before.stake),
        expected_accounts_before=changes.whole_before.probability,
        arr_before=known(changes.whole_before.arr),
        accounts_before=changes.whole_before.accounts,
        band=changes.band,
        band_accounts_before=changes.first_before.accounts,
        entered=changes.entered.accounts,
        entered_arr=known(changes.entered.arr),
        left=changes.left.accounts,
        left_arr=known(changes.left.arr),
        new=changes.new.accounts,
        gone=changes.gone.accounts,
        gone_arr=known(changes.gone.arr),
        movers_in=listed(changes.movers_in),
        movers_out=listed(changes.movers_out),
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


def _headline(view: PortfolioView, words: StakeWords, until: date, *, is_over: bool) -> str:
    """Say in one sentence what is at stake."""
    if not view.accounts:
        return "None of the accounts you may see was scored"
    stake = Stake(view.accounts, view.expected_accounts, view.expected_arr, view.arr)
    return stake_sentence(words, stake, until, is_over=is_over)
