"""Explain why one account's score moved between two dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, sample
from features.json_values import Json
from pipelines.project.company import open_company, scoring_date
from pipelines.project.project import Project
from pipelines.reports.terminal.progress import show_progress
from pipelines.scoring.explain import InactiveAccount, inactive, refuse_unknown_account
from pipelines.store.issued import DatedScore, issued_scores

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes.settings import OutcomeWords
    from features.tables.company import Company
    from models.scoring.health_model import HealthModel
    from models.scoring.move import MoveEnd, MoveSplit
    from models.scoring.scored import ScoredAccounts


@dataclass(frozen=True)
class ExplainedMove:
    """A change of one account's score, and what it is made of.

    Parameters
    ----------
    account_id, outcome : str
        Whose score of what.
    start, end : DatedScore
        The scores of both dates.
    move : MoveSplit
        The parts, which sum to the change.
    words : OutcomeWords
        How people speak of the outcome.
    warnings : list of str
        One sentence each.
    noise : float or None
        Standard deviation of what a score wobbles by from run to run; None where not measured.
    """

    account_id: str
    outcome: str
    start: DatedScore
    end: DatedScore
    move: MoveSplit
    words: OutcomeWords
    warnings: list[str]
    noise: float | None = None

    @property
    def lasting(self) -> tuple[float, float] | None:
        """90 % interval of the part of the change that lasts; None where it is not known."""
        from models.measures.reversal import lasting

        change = self.end.score - self.start.score
        return None if self.noise is None else lasting(change, self.noise)

    @property
    def verdict(self) -> str | None:
        """Say whether the change is more than noise; None where that is not known."""
        from pipelines.scoring.moves.noise import verdict

        return None if self.lasting is None else verdict(*self.lasting)

    def to_dict(self) -> Json:
        """Return what ``explain --since --json`` prints."""
        return {
            "account_id": self.account_id,
            "outcome": self.outcome,
            "from": self.start.to_dict(),
            "to": self.end.to_dict(),
            "change": self.end.score - self.start.score,
            "lasting": None if self.lasting is None else list(self.lasting),
            "verdict": self.verdict,
            "totals": self.move.totals(),
            "parts": [part.to_dict() for part in self.move.parts],
            "warnings": self.warnings,
        }


def explain_move(
    project: Project, account_id: str, since: date, as_of: date | None
) -> ExplainedMove:
    """Split the change of one account's score between two dates.

    The scores are those that were issued, each told by the model that made it. Where none was
    issued of a date, it is computed from what the tables hold today: of the later date with the
    champion, of the earlier one with the model of the later.

    Raises
    ------
    SettingsError
        When the dates are in the wrong order.
    DataError
        When a date lies outside the data, the account is unknown or was not active on one of
        them, or the tables no longer give a signal that a model needs.
    RegistryError
        When there is no champion, or the model of an issued score is gone.
    StoreError
        When there is a store that cannot be read.
    """
    champion = project.registry.champion()
    newest, newest_version = champion.model, champion.version
    with open_company(project) as company:
        day, warnings = scoring_date(company, as_of)
        _refuse_order(since, day)
        scoring_date(company, since)
        refuse_unknown_account(company, account_id)
        frame = _signals(project, company, (since, day), account_id)
    history = issued_scores(project, account_id)
    of_row = frame["observation_date"].dt.date
    rows = {one: frame[of_row == one].reset_index(drop=True) for one in (since, day)}
    explained = explain_rows(project, account_id, rows, history, (newest, newest_version))
    return replace(explained, warnings=[*warnings, *explained.warnings])


def explain_rows(
    project: Project,
    account_id: str,
    rows: Mapping[date, pd.DataFrame],
    history: Sequence[DatedScore],
    newest: tuple[HealthModel, str],
) -> ExplainedMove:
    """Split a move whose signals are at hand.

    Parameters
    ----------
    project : Project
        The configuration, whose registry holds the models.
    account_id : str
        The account.
    rows : dict of date to DataFrame
        The earlier date, then the later: the account's feature row as of it, or none.
    history : sequence of DatedScore
        Its issued scores.
    newest : (HealthModel, str)
        The champion and its version.

    Raises
    ------
    DataError
        When the account was not active on a date, or a signal is not there.
    RegistryError
        When the model of an issued score is gone.
    """
    from models.scoring.move import split_move

    _refuse_inactive(project, account_id, rows, history)
    issued = {score.as_of: score for score in history}
    since, day = rows
    versions = {day: _version(issued.get(day), newest[1])}
    versions[since] = _version(issued.get(since), versions[day])
    models = {newest[1]: newest[0]}
    for version in versions.values():
        if version not in models:
            models[version] = project.registry.version(version).model
    ends = [
        _end(one, row, models[versions[one]], versions[one], issued.get(one))
        for one, row in rows.items()
    ]
    move = split_move(*ends)
    start, end = (
        issued.get(end.day) or _dated(end, scored)
        for end, scored in zip(ends, move.scored, strict=True)
    )
    warnings = [_computed(end, history) for end in ends if end.issued is None]
    words = project.settings.outcome.words
    noise = ends[1].model.noise
    return ExplainedMove(account_id, project.outcome_name, start, end, move, words, warnings, noise)


def _version(score: DatedScore | None, otherwise: str) -> str:
    return otherwise if score is None else score.model_version


def _end(
    day: date, row: pd.DataFrame, model: HealthModel, version: str, issued: DatedScore | None
) -> MoveEnd:
    """Put one date together.

    Raises
    ------
    DataError
        When the tables no longer give a signal that the model needs.
    """
    from models.scoring.move import MoveEnd

    lost = [name for name in model.required_columns if name not in row]
    if lost:
        raise DataError(
            f"Model version {sample([version])}, by which the score of {day} is told, needs the"
            f" signals {sample(lost, 5)}, which the configuration no longer gives; map their tables"
            " and columns again or choose a date scored by a newer model"
        )
    return MoveEnd(day, row, model, version, None if issued is None else issued.score)


def _refuse_order(since: date, day: date) -> None:
    if since >= day:
        raise SettingsError(
            f"Option --since must name a date before {day}, up to which the move is explained, and"
            f" names {since}; choose an earlier one or a later --as-of"
        )


def _signals(
    project: Project, company: Company, days: Sequence[date], account_id: str
) -> pd.DataFrame:
    """Build the account's signals as known on each date."""
    from features.build import build_features

    settings = project.settings
    with show_progress("Signals") as step:
        return build_features(
            company,
            days,
            settings.outcome,
            settings.signals,
            labelled=False,
            account_id=account_id,
            progress=step,
        )


def _refuse_inactive(
    project: Project,
    account_id: str,
    rows: Mapping[date, pd.DataFrame],
    history: Sequence[DatedScore],
) -> None:
    """Stop where the account has no score on one of the dates, telling where it has."""
    active = [day for day, row in rows.items() if not row.empty]
    for day in rows:
        if day not in active:
            known = _known_of(active, history)
            raise InactiveAccount(f"{inactive(account_id, day, project.settings.outcome)}{known}")


def _known_of(active: Sequence[date], history: Sequence[DatedScore]) -> str:
    """Say on which dates there is something to tell of an account."""
    known = [f"it was active on {day}" for day in active]
    if history:
        first, last = history[0].as_of, history[-1].as_of
        span = f"of {first}" if first == last else f"from {first} to {last}"
        known.append(f"its issued scores are {span}")
    return f" ({', and '.join(known)})" if known else ""


def _computed(end: MoveEnd, history: Sequence[DatedScore]) -> str:
    said = (
        f"No score of {end.day} was issued for this account: it is computed from what the tables"
        f" hold today, with model version {end.version}"
    )
    if not history:
        return said
    near = min(history, key=lambda score: abs(score.as_of - end.day))
    return f"{said}; the nearest issued one is of {near.as_of}"


def _dated(end: MoveEnd, scored: ScoredAccounts) -> DatedScore:
    row = scored.table.iloc[0]
    names = ("score", "band", "probability", "segment")
    return DatedScore(end.day, **{name: row[name] for name in names}, model_version=end.version)
