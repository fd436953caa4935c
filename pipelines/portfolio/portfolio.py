"""The portfolio at a glance: bands, the money in them, and whom to call first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from features.errors import StoreError
from pipelines.portfolio.sums import (
    SUMMED,
    BandSummary,
    PartSummary,
    Watch,
    add_up,
    by_stake,
    part_of,
)
from pipelines.portfolio.worklist.calls import Call, call_of
from pipelines.portfolio.worklist.described import UNKNOWN, described_accounts
from pipelines.portfolio.worklist.facts import NOTHING, account_facts
from pipelines.project.project import Project
from pipelines.reports.wording import band_limits
from pipelines.scoring.score import Issued
from pipelines.store.issued import reasons_note, run_before

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes.settings import OutcomeSettings
    from models.scoring.health_model import HealthModel
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

EXPLAINED = ("account_id", "reason_signals", "reason_points", "reason_values")


@dataclass(frozen=True)
class Portfolio:
    """One run of scores, summed up.

    Parameters
    ----------
    outcome : OutcomeSettings
        What the scores foretell.
    as_of : date
        Date they speak of.
    model_version : str
        Version of the model that made them.
    bands : list of BandSummary
        From the highest probability to the lowest.
    arr : float or None
        ARR of all accounts; None where MRR is not mapped.
    expected_arr : float or None
        ARR of the accounts to which the outcome will happen, as expected: the sum of probability
        times ARR. For churn it is the expected loss.
    expected_accounts : float
        Accounts to which it will happen, as expected: the sum of the probabilities.
    segments : list of PartSummary
        By segment, the one with most at stake first.
    sizes : list of PartSummary
        By ARR, the largest accounts first, those of unknown ARR last; empty where MRR is not
        mapped.
    unpriced : int
        Accounts whose ARR is not known; all sums of ARR leave them out.
    calls : list of Call
        Whom to call first.
    at_decisions : bool
        Whether bands were counted over accounts that had to decide.
    limits : str
        Which scores lie in which band.
    """

    outcome: OutcomeSettings
    as_of: date
    model_version: str
    bands: list[BandSummary]
    arr: float | None
    expected_arr: float | None
    expected_accounts: float
    segments: list[PartSummary]
    sizes: list[PartSummary]
    unpriced: int
    calls: list[Call]
    at_decisions: bool = False
    limits: str = ""

    @property
    def accounts(self) -> int:
        """Accounts in the run."""
        return sum(band.accounts for band in self.bands)


def portfolio(project: Project, issued: Issued, calls: int = 5) -> Portfolio:
    """Sum up an issued run.

    Accounts to call come in the order of what is at stake: probability times ARR, or probability
    alone where MRR is not mapped. That is the expected loss for churn; for a good outcome it is
    where most can be won.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    from pipelines.store.opening import open_store
    from pipelines.store.runs import RunKey

    key = RunKey(issued.outcome, issued.as_of, issued.model_version)
    with open_store(project, read_only=True) as store:
        run = store.newest(key)
        if run is None:
            raise StoreError(
                f"The score store '{store.shown}' holds no scores of {key}; issue them with"
                " 'healthscore score'"
            )
        return sum_up(project, store, run, issued.model, calls)


def sum_up(
    project: Project,
    store: ScoreStore,
    run: Run,
    model: HealthModel,
    calls: int = 5,
    watch: Sequence[Watch] = (),
) -> Portfolio:
    """Sum up one revision of a run, as :func:`portfolio` does, reading it batch by batch.

    Parameters
    ----------
    project : Project
        Whose run it is.
    store : ScoreStore
        An open store.
    run : Run
        The revision.
    model : HealthModel
        What made it.
    calls : int
        Most accounts to call.
    watch : sequence of callable
        Called with each batch.
    """
    sums, first = add_up(store.scores(run, columns=SUMMED), calls, watch)
    has_money = bool(sums["known"].sum())
    names = list(model.scale.bands)
    observed = {band["band"]: band for band in model.bands}
    whole = part_of(None, sums, names, has_money)
    segments = [part_of(*part, names, has_money) for part in sums.groupby("segment")]
    sizes = [part_of(*part, names, has_money) for part in sums.groupby("arr_from", dropna=False)]
    return Portfolio(
        outcome=project.settings.outcome,
        as_of=run.key.as_of,
        model_version=run.key.model_version,
        bands=[replace(band, observed=observed.get(band.band)) for band in whole.bands],
        arr=whole.arr,
        expected_arr=whole.expected_arr,
        expected_accounts=whole.expected_accounts,
        segments=sorted(segments, key=by_stake),
        sizes=sorted(sizes, key=_by_size) if has_money else [],
        unpriced=int(sums["accounts"].sum() - sums["known"].sum()),
        calls=_calls(project, store, run, model, first, has_money),
        at_decisions=model.timing is not None,
        limits=band_limits(model.scale),
    )


def _by_size(part: PartSummary) -> float:
    return -part.name if isinstance(part.name, float) else 1.0


def _calls(
    project: Project,
    store: ScoreStore,
    run: Run,
    model: HealthModel,
    first: pd.DataFrame,
    has_money: bool,
) -> list[Call]:
    """Make the calls of those with most at stake, whose tables are asked once for all of them."""
    chosen = first["account_id"].tolist()
    rows = store.scores(run, accounts=chosen, columns=EXPLAINED).read_all().to_pylist()
    reasons = {row["account_id"]: row for row in rows}
    before, let_go = _scores_before(store, run, chosen), reasons_note(store.erasures(), run)
    known = described_accounts(project, run.key.as_of, chosen)
    facts, _ = account_facts(project, run.key.as_of, chosen)
    calls = []
    for row in first.to_dict("records"):
        account = row["account_id"]
        described = known.get(account, UNKNOWN)
        earlier = before.get(account)
        told = {
            **row,
            **reasons[account],
            "arr": float(row["arr"]) if has_money else None,
            "name": described.name,
            "owner": described.owner,
            "renewal": described.renewal,
            "change": None if earlier is None else float(row["score"]) - earlier,
            "let_go": let_go,
        }
        calls.append(call_of(project, model, told, facts.get(account, NOTHING)))
    return calls


def _scores_before(store: ScoreStore, run: Run, accounts: list[str]) -> dict[str, float]:
    """Read the scores of some accounts in the run of the date before, as far as they were in it."""
    earlier = run_before(store, run)
    if earlier is None:
        return {}
    rows = store.scores(earlier, accounts=accounts, columns=["account_id", "score"]).read_all()
    return {row["account_id"]: row["score"] for row in rows.to_pylist()}
