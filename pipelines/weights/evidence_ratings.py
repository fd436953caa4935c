"""How subjective ratings fared: how far raters differ, and what ratings foretold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from models.measures.estimate import UNKNOWN, Estimate

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.outcomes.settings import OutcomeWords
    from features.signals.rating_quality import RaterSpread
    from features.tables.company import Company
    from models.arrays import Codes, Floats
    from models.backtest.signal_evidence import Alone, SideBySide
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project

RATING = "rating_overall"
OBJECTIVE = ("usage", "adoption", "support", "payments", "referrals", "enablement")
"""Groups that record what customers do, not what somebody thinks of it."""


@dataclass(frozen=True)
class RatingEvidence:
    """How ratings by people fared.

    Parameters
    ----------
    raters, ratings, accounts : int
        Who rated, how often and whom, in the year before ``as_of``.
    as_of : date
        The newest matured observation date.
    rated_share : float
        Share of the hold-out rows in which a rating is known.
    spread : float
        Standard deviation of the raters' leniency, in levels; 0 where nothing tells of any.
    share_of_variance : float or None
        Share of the ratings' variance that is who rated, from 0 to 1; None where nothing tells.
    strictest, most_lenient : float
        Leniency of the raters at either end, in levels off the middle.
    lowest, highest : float
        Lowest and highest level that was given.
    rating : Alone or None
        The fair rating alone, on the hold-out rows in which it and the objective measure are
        known; None where its direction is neither declared nor learnt, or where no row is.
    objective : str or None
        Of the groups that record what customers do, the one whose measure told most on the rated
        rows before the hold-out; None where no group could be measured.
    measured : Alone or None
        That group's measure, on the same rows as ``rating``.
    ahead : Estimate
        AUC of the rating less that of the objective measure.
    sentence : str
        All this in plain words.
    """

    raters: int
    ratings: int
    accounts: int
    as_of: date
    rated_share: float
    spread: float
    share_of_variance: float | None
    strictest: float
    most_lenient: float
    lowest: float
    highest: float
    rating: Alone | None
    objective: str | None
    measured: Alone | None
    ahead: Estimate
    sentence: str


def rating_evidence(
    company: Company,
    project: Project,
    model: HealthModel,
    rows: pd.DataFrame,
    frame: pd.DataFrame,
    past: Codes,
    signals: Sequence[Signal],
    notes: list[str],
    *,
    seed: int,
) -> RatingEvidence | None:
    """Ask how far raters differ and what their ratings foretold; None without ratings.

    Parameters
    ----------
    company, project, model, rows, frame, signals, seed
        As for :func:`pipelines.weights.evidence.report_evidence`.
    past : ndarray of int
        Positions that had matured before the hold-out, to choose the objective measure by.
    notes : list of str
        Takes what cannot be shown and why.
    """
    from features.signals.rating_quality import rater_spread

    if not company.has("ratings") or RATING not in rows:
        notes.append("No ratings are shown: no table holds them, or their group is switched off")
        return None
    as_of = rows["observation_date"].max().date()
    spread = rater_spread(company, project.settings.signals, as_of)
    if spread is None:
        notes.append(f"No ratings are shown: nobody rated an account in the year before {as_of}")
        return None
    rating, objective, told = _rating_told(model, rows, frame, past, signals, seed)
    if rating is None:
        notes.append(
            "What ratings predict cannot be shown: on the dates that judge the model too few were"
            " known, or nothing says which way they are healthy"
        )
    return RatingEvidence(
        **asdict(spread),
        rated_share=float(rows[RATING].notna().mean()),
        rating=rating,
        objective=objective,
        measured=told.second if told else None,
        ahead=told.ahead if told else UNKNOWN,
        sentence=_in_words(spread, project.settings.outcome.words, rating, objective, told),
    )


def _rating_told(
    model: HealthModel,
    rows: pd.DataFrame,
    frame: pd.DataFrame,
    past: Codes,
    signals: Sequence[Signal],
    seed: int,
) -> tuple[Alone | None, str | None, SideBySide | None]:
    """Measure the rating alone, beside the objective measure where there is one."""
    from models.backtest.signal_evidence import alone, high_is_risk, side_by_side, some_accounts
    from models.scorecard.grading import Grading, group_measures

    risky = high_is_risk(model, RATING)
    if risky is None:
        return None, None, None
    rated = past[frame[RATING].notna().to_numpy()[past]]
    known = frame.iloc[rated[some_accounts(frame["account_id"].iloc[rated], seed=seed)]]
    tested = rows.iloc[some_accounts(rows["account_id"], seed=seed)]
    values, happened, accounts = (tested[name] for name in (RATING, "happened", "account_id"))
    measures = [each for each in group_measures(signals) if each.name in OBJECTIVE]
    if measures and len(known):
        # Graded over the whole book, as the rating is one for the whole book.
        grading = Grading.fit(measures, known, [EVERYBODY] * len(known))
        best = _best(grading.grades(known, [EVERYBODY] * len(known)), known["happened"], model)
        if best is not None:
            grades = grading.grades(tested, [EVERYBODY] * len(tested))[:, best]
            told = side_by_side(
                values,
                grades,
                happened,
                accounts,
                high_is_risk=(risky, model.scale.good),
                seed=seed,
            )
            if told.ahead.value is not None:
                return told.first, grading.names[best], told
    ranking = alone(values, happened, accounts, high_is_risk=risky, seed=seed)
    return (None if ranking.auc is None else ranking), None, None


def _best(grades: Floats, happened: pd.Series, model: HealthModel) -> int | None:
    """Place of the measure that ranks outcomes best."""
    import numpy as np

    from models.measures.metrics import Ranking

    outcome = happened.to_numpy(dtype=float)
    aucs = []
    for grade in grades.T:
        seen = ~np.isnan(grade)
        risk = grade[seen] if model.scale.good else -grade[seen]
        auc = Ranking(outcome[seen], risk).auc(np.ones(seen.sum())) if seen.any() else np.nan
        aucs.append(auc)
    return None if np.isnan(aucs).all() else int(np.nanargmax(aucs))


def _in_words(
    spread: RaterSpread,
    words: OutcomeWords,
    rating: Alone | None,
    objective: str | None,
    told: SideBySide | None,
) -> str:
    people = "1 person" if spread.raters == 1 else f"{spread.raters:,} people"
    said = [
        f"In the year before {spread.as_of}, {people} gave {spread.ratings:,} ratings of"
        f" {spread.accounts:,} accounts, on levels from {spread.lowest:g} to {spread.highest:g}."
    ]
    if spread.raters > 1 and spread.share_of_variance:
        said.append(
            f"Who rates moves a rating by {spread.spread:.2f} levels up or down, which is"
            f" {_percent(spread.share_of_variance)} of why ratings differ; it is taken off before"
            " ratings count."
        )
    elif spread.raters > 1:
        said.append("Nothing shows that one of them rates more kindly than another.")
    if rating is not None:
        said.append(
            f"Asked which of two accounts {words.past}, ratings alone are right in"
            f" {_interval(rating)}, where a coin is right in {_percent(0.5)}"
            + (
                f"; the measure of {objective} is right in {_interval(told.second)}."
                if told
                else "."
            )
        )
    return " ".join(said)


def _interval(found: Alone) -> str:
    return (
        f"{_percent(found.auc)} of cases (between {_percent(found.low)} and {_percent(found.high)})"
    )


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.0f} %"
