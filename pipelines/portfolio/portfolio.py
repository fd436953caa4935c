"""The portfolio at a glance: bands, the money in them, and whom to call first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

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
from pipelines.project.project import Project
from pipelines.scoring.score import Issued

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes.settings import OutcomeSettings
    from models.scoring.health_model import HealthModel
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

EXPLAINED = ("account_id", "reason_signals", "reason_points", "reason_values")
SAID = 3


@dataclass(frozen=True)
class Call:
    """An account to call, and why."""

    account_id: str
    name: str | None
    segment: str
    score: float
    band: str
    probability: float
    arr: float | None
    sentences: list[str]
    play: str | None = None
    """What the configuration does about the largest of the reasons that it has an answer to."""

    @property
    def stake(self) -> float | None:
        """Probability times ARR."""
        return None if self.arr is None else self.probability * self.arr


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
    chosen = first["account_id"].tolist()
    rows = store.scores(run, accounts=chosen, columns=EXPLAINED).read_all().to_pylist()
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
        calls=_calls(project, model, first, {row["account_id"]: row for row in rows}, has_money),
        at_decisions=model.timing is not None,
    )


def _by_size(part: PartSummary) -> float:
    return -part.name if isinstance(part.name, float) else 1.0


def _calls(
    project: Project,
    model: HealthModel,
    first: pd.DataFrame,
    reasons: dict[str, dict[str, Any]],
    has_money: bool,
) -> list[Call]:
    names = account_names(project, first["account_id"].tolist())
    plays = project.settings.plays
    groups = {signal.name: signal.group for signal in model.signals}
    called = []
    for row in first.to_dict("records"):
        telling = _telling(model, reasons[row["account_id"]])
        # Plays answer what is wrong, and the reasons of a good outcome are what is right.
        harm: Iterable[str] = () if model.scale.good else telling
        answers = (plays.play_for(signal, groups[signal]) for signal in harm)
        called.append(
            Call(
                account_id=row["account_id"],
                name=names.get(row["account_id"]),
                segment=row["segment"],
                score=float(row["score"]),
                band=row["band"],
                probability=float(row["probability"]),
                arr=float(row["arr"]) if has_money else None,
                sentences=list(telling.values())[:SAID],
                play=next((play for play in answers if play), None),
            )
        )
    return called


def _telling(model: HealthModel, row: dict[str, Any]) -> dict[str, str]:
    """Say the stored reasons that make the outcome likelier, by signal, the largest first.

    They cost points where the outcome is bad news and bring some where it is good.
    """
    from models.scoring.reasons import sentence

    signals = {signal.name: signal for signal in model.signals}
    reasons = zip(row["reason_signals"], row["reason_values"], row["reason_points"], strict=True)
    return {
        name: sentence(signals[name], value, points)
        for name, value, points in reasons
        if (points > 0) == model.scale.good
    }


def account_names(project: Project, ids: list[str]) -> dict[str, str]:
    """Look up the names of some accounts, where the source has them."""
    from features.tables.company import clean_tables
    from pipelines.project.company import open_project_source

    settings = project.settings
    with open_project_source(project) as source:
        # Whoever gets here has scores: whether accounts need dates has been settled before.
        tables = clean_tables(
            source, settings.tables, settings.reading, is_dated=False, names=["accounts"]
        )
        table = tables["accounts"]
        if not table.has("name"):
            return {}
        rows = table.cleaned.filter(table.cleaned.account_id.isin(ids))
        frame = rows.select("account_id", "name").execute().dropna()
    return dict(zip(frame["account_id"], frame["name"], strict=True))
