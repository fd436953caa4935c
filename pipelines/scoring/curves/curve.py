"""Tell one account's risk over a year: the probability of a loss within each horizon."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.errors import EvidenceError
from pipelines.project.company import open_company, scoring_date
from pipelines.project.project import Project
from pipelines.scoring.explain import (
    InactiveAccount,
    inactive,
    refuse_unknown_account,
    timing_words,
)
from pipelines.scoring.score import features_on

if TYPE_CHECKING:
    import pandas as pd

    from models.scoring.health_model import HealthModel


@dataclass(frozen=True)
class Horizon:
    """The risk within some days.

    Attributes
    ----------
    days : int
        How many, from the date on.
    probability, low, high : float
        Of a loss within them, and the 90 % interval.
    baseline : float
        The same of the mean of the account's segment, with its contract.
    signals : dict of str to float
        What each signal adds to the baseline; with it they sum to the probability.
    """

    days: int
    probability: float
    low: float
    high: float
    baseline: float
    signals: dict[str, float]


@dataclass(frozen=True)
class AccountCurve:
    """The risk of one account over a year.

    Attributes
    ----------
    account_id : str
        The account.
    as_of : str
        The date, ISO.
    model_version : str
        The champion's version.
    probability_if_due : float
        Probability of a loss had it to decide in the outcome window.
    timing : str or None
        When the contract renews; None where no date is known, or it decides in every window.
    labels : dict of str to str
        What people call each signal.
    horizons : tuple of Horizon
        From the nearest to the farthest; a farther one never has a lower probability.
    """

    account_id: str
    as_of: str
    model_version: str
    probability_if_due: float
    timing: str | None
    labels: dict[str, str]
    horizons: tuple[Horizon, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``curve --json`` prints."""
        return asdict(self)


def account_curve(project: Project, account_id: str, as_of: date | None) -> AccountCurve:
    """Tell the risk of one account over a year, with what each signal adds at every horizon.

    Raises
    ------
    DataError
        When the account is unknown or was not active on the date.
    RegistryError
        When there is no champion.
    EvidenceError
        When the champion tells no curve.
    """
    champion = project.registry.champion()
    model = champion.model
    if model.curve is None:
        raise EvidenceError(
            f"Model version {champion.version} tells no risk over a year: that needs an outcome of"
            " kind churn with dates of losses, at least 30 of them at decisions, and a score that"
            " tells the risk at a decision; train again once there are"
        )
    with open_company(project) as company:
        day, _ = scoring_date(company, as_of)
        refuse_unknown_account(company, account_id)
        frame = features_on(project, company, model, day, account_id)
    if frame.empty:
        raise InactiveAccount(inactive(account_id, day, project.settings.outcome))
    return told_curve(model, champion.version, frame, day)


def told_curve(model: HealthModel, version: str, row: pd.DataFrame, day: date) -> AccountCurve:
    """Tell the curve of one row, by a model that has one.

    Parameters
    ----------
    model : HealthModel
        What tells it.
    version : str
        The model's version.
    row : DataFrame of 1 row
        The account's signals on the date.
    day : date
        The date.
    """
    from models.scoring.scorer import Scorer
    from models.scoring.timing.curve import HORIZONS

    scorer = Scorer(model)
    told = scorer.curves(row)
    assert told is not None, "a model without a curve was refused before"
    names = [signal.name for signal in model.signals]
    return AccountCurve(
        account_id=str(row["account_id"].iloc[0]),
        as_of=day.isoformat(),
        model_version=version,
        probability_if_due=float(scorer.score(row).table["probability_if_due"].iloc[0]),
        timing=timing_words(model, row, day),
        labels={signal.name: signal.label for signal in model.signals},
        horizons=tuple(
            Horizon(
                days=days,
                probability=float(told.within[0, place]),
                low=float(told.low[0, place]),
                high=float(told.high[0, place]),
                baseline=float(told.baseline[0, place]),
                signals=dict(zip(names, told.points[0, place].tolist(), strict=True)),
            )
            for place, days in enumerate(HORIZONS)
        ),
    )
