"""Explain one account's score, signal by signal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from features.errors import DataError, nearest
from features.json_values import Json, json_value
from pipelines.project.company import open_company, scoring_date
from pipelines.project.project import Project
from pipelines.scoring.score import features_on

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes.settings import OutcomeSettings, OutcomeWords
    from features.tables.company import Company
    from models.measures.metrics import BandRow
    from models.scoring.health_model import HealthModel
    from models.scoring.reasons import Reason
    from models.weights.prior_share import PriorShare


class InactiveAccount(DataError):  # noqa: N818 - no fault of the data
    """The account was not active on the date that is asked about."""


@dataclass(frozen=True)
class Explained:
    """One account's score and what it is made of.

    Parameters
    ----------
    account : dict
        ``account_id``, ``outcome``, ``as_of``, ``model_version``, ``segment``, ``score``, ``band``
        and ``band_days`` (as the date's run would issue them), ``probability`` (of the
        outcome in its window), ``probability_low`` and ``probability_high`` (its 90 % interval,
        None where the model knows none), ``probability_if_due`` (had the account to decide in
        it), ``coverage``, ``baseline_score``.
    groups : dict of str to float
        Points per signal group.
    reasons : list of Reason
        Every signal, largest absolute points first.
    band_rate : BandRow or None
        How often the outcome happened in the band on the hold-out.
    limits : str
        Which scores lie in which band.
    words : OutcomeWords
        How people speak of the outcome.
    kept : str or None
        Why the band is not that of the score; None where it is.
    usual : str or None
        Which risk at a decision scores 50; None where it is the same for everybody.
    timing : str or None
        When the contract renews; None where the score does not tell it apart, or no date is known.
    prior : PriorShare or None
        How much of the model is a scorecard; None where outcomes alone taught it.
    """

    account: dict[str, Any]
    groups: dict[str, float]
    reasons: list[Reason]
    band_rate: BandRow | None
    words: OutcomeWords
    limits: str
    timing: str | None = None
    prior: PriorShare | None = None
    kept: str | None = None
    usual: str | None = None

    def to_dict(self) -> Json:
        """Return what ``explain --json`` prints."""
        return {
            **self.account,
            "groups": self.groups,
            "signals": [reason.to_dict() for reason in self.reasons],
            "band_rate": json_value(self.band_rate),
            "band_limits": self.limits,
            "band_kept": self.kept,
            "usual": self.usual,
            "timing": self.timing,
            "prior": None if self.prior is None else self.prior.to_dict(),
        }


def explain_account(project: Project, account_id: str, as_of: date | None) -> Explained:
    """Score one account on a date and give the points of every signal.

    Raises
    ------
    DataError
        When the account is unknown or was not active on the date.
    RegistryError
        When there is no champion.
    """
    from models.scoring.scorer import Scorer
    from pipelines.reports.wording import band_kept, band_limits, usual_words
    from pipelines.scoring.bands.account import settled_band

    outcome = project.settings.outcome
    champion = project.registry.champion()
    model, version = champion.model, champion.version
    with open_company(project) as company:
        day, _ = scoring_date(company, as_of)
        refuse_unknown_account(company, account_id)
        frame = features_on(project, company, model, day, account_id)
    if frame.empty:
        raise InactiveAccount(inactive(account_id, day, outcome))
    scored = Scorer(model).score(frame)
    row = scored.table.iloc[0].to_dict()
    bounds = ("probability_low", "probability_high")
    row |= {name: row[name] if row[name] == row[name] else None for name in bounds}
    account = {
        "account_id": account_id,
        "outcome": project.outcome_name,
        "as_of": day.isoformat(),
        "model_version": version,
        **{
            name: row[name]
            for name in (
                "segment",
                "score",
                "band",
                "probability",
                *bounds,
                "probability_if_due",
                "coverage",
                "baseline_score",
            )
        },
    }
    groups = {str(name): float(points) for name, points in scored.group_points().iloc[0].items()}
    reasons = scored.reasons(len(model.signals))[0]
    account |= settled_band(project, account_id, (day, version), row["score"], model.scale)
    band_rate = next((band for band in model.bands if band["band"] == account["band"]), None)
    return Explained(
        account,
        groups,
        reasons,
        band_rate,
        outcome.words,
        band_limits(model.scale),
        timing_words(model, frame, day),
        model.prior,
        band_kept(model.scale, account["band"], row["score"]),
        usual_words(model.scale, row["score"], row["probability_if_due"]),
    )


def timing_words(model: HealthModel, row: pd.DataFrame, day: date) -> str | None:
    """Say when an account decides next, as in "renews 2 February 2026, in 32 days".

    Parameters
    ----------
    model : HealthModel
        What scored it; one that reads the calendar tells it among the reasons.
    row : DataFrame of 1 row
        Contract terms.
    day : date
        The observation date.

    Returns
    -------
    str or None
        None where the model tells no timing apart, or no renewal date is known.
    """
    from models.scoring.timing.decisions import AHEAD, days_of

    (ahead,) = days_of(row, AHEAD)
    return renewal_words(float(ahead), day) if model.timing is not None and ahead >= 0 else None


def renewal_words(ahead: float, day: date) -> str:
    """Say when a contract renews that does so some days after a date."""
    from pipelines.reports.wording import day as written
    from pipelines.reports.wording import plural

    days = int(ahead)
    return f"renews {written(day + timedelta(days))}, in {plural(days, 'day')}"


def refuse_unknown_account(company: Company, account_id: str) -> None:
    """Stop where no account has that id, naming the nearest that is there.

    Raises
    ------
    DataError
        When there is none.
    """
    accounts = company.tables["accounts"].cleaned
    if int(accounts.filter(accounts.account_id == account_id).count().execute()):
        return
    alike = accounts.order_by(accounts.account_id.levenshtein(account_id), "account_id")
    known = alike.limit(20).account_id.execute().tolist()
    hint = nearest(account_id, known) or "; check its id in accounts"
    raise DataError(f"Account '{account_id[:60]}' is not in accounts{hint}")


def inactive(account_id: str, day: date, outcome: OutcomeSettings) -> str:
    """Say that an account has no score on a date, and what to do."""
    reached = " or had reached the target before it" if outcome.kind == "adoption" else ""
    return (
        f"Account '{account_id[:60]}' was not active on {day}{reached}; choose a date on which a"
        " subscription of it was running"
    )
