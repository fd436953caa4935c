"""Issued scores over time: of one account, or of the whole portfolio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import DataError, SettingsError, StoreError
from features.json_values import Json, JsonReady
from pipelines.project.project import Project
from pipelines.project.settings.score import MAIN
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.store.issued import DatedScore, issued_scores
from pipelines.store.opening import open_store

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords


@dataclass(frozen=True)
class AccountTrend:
    """One account's issued scores over time.

    Parameters
    ----------
    account_id, outcome : str
        Whose scores of what.
    scores : list of DatedScore
        One per date, the earliest first.
    words : OutcomeWords
        How people speak of the outcome.
    """

    account_id: str
    outcome: str
    scores: list[DatedScore]
    words: OutcomeWords

    def to_dict(self) -> Json:
        """Return what ``trend ACCOUNT --json`` prints."""
        return {
            "account_id": self.account_id,
            "outcome": self.outcome,
            "scores": [score.to_dict() for score in self.scores],
            "model_changes": model_changes(self.scores),
        }


@dataclass(frozen=True)
class BandCount:
    """One band of one run."""

    band: str
    accounts: int
    mrr: float | None


@dataclass(frozen=True)
class PortfolioRun(JsonReady):
    """One issued run, summed up.

    Parameters
    ----------
    as_of : date
        The date.
    model_version : str
        Version of the model that made the scores.
    issued_at : datetime
        When they were issued, in UTC.
    accounts : int
        Accounts scored.
    mean_score : float
        Their mean score.
    mrr : float or None
        Their MRR; None where it is not mapped.
    bands : list of BandCount
        From the highest probability to the lowest; empty bands too.
    """

    as_of: date
    model_version: str
    issued_at: datetime
    accounts: int
    mean_score: float
    mrr: float | None
    bands: list[BandCount]

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return super().to_dict() | {"issued_at": f"{self.issued_at.isoformat()}Z"}


@dataclass(frozen=True)
class PortfolioTrend:
    """The portfolio's issued runs over time.

    Parameters
    ----------
    outcome : str
        What the scores foretell.
    runs : list of PortfolioRun
        One per date, the earliest first.
    words : OutcomeWords
        How people speak of the outcome.
    """

    outcome: str
    runs: list[PortfolioRun]
    words: OutcomeWords

    def to_dict(self) -> Json:
        """Return what ``trend --json`` prints."""
        return {
            "outcome": self.outcome,
            "runs": [run.to_dict() for run in self.runs],
            "model_changes": model_changes(self.runs),
        }


def account_trend(project: Project, account_id: str) -> AccountTrend:
    """Read the issued scores of one account.

    Raises
    ------
    DataError
        When no score of it was issued.
    StoreError
        When the store cannot be read, or holds no run of the outcome.
    """
    scores = issued_scores(project, account_id)
    if not scores:
        _refuse_no_runs(project)
        raise DataError(
            f"No score of account '{account_id[:60]}' was issued{_of(project)}; check its id, or"
            " issue scores of a date on which it was active with 'healthscore score --as-of DATE'"
        )
    words = project.settings.outcome.words
    return AccountTrend(account_id, project.outcome_name, scores, words)


def portfolio_trend(project: Project) -> PortfolioTrend:
    """Sum up every date that was scored; of several runs of a date the one issued last counts.

    Raises
    ------
    StoreError
        When the store cannot be read, or holds no run of the outcome.
    """
    from models.scoring.scale import BANDS, GOOD_BANDS

    outcome = project.settings.outcome
    with open_store(project, read_only=True) as store:
        rows = store.portfolio_history(project.outcome_name).to_pylist()
    if not rows:
        _refuse_no_runs(project)
    last = {row["as_of"]: _run(row) for row in rows}
    bands = GOOD_BANDS if outcome.is_good else BANDS
    runs = [
        _summed([row for row in rows if row["as_of"] == day and _run(row) == run], bands)
        for day, run in last.items()
    ]
    return PortfolioTrend(project.outcome_name, runs, outcome.words)


def model_changes(dated: Sequence[DatedScore | PortfolioRun]) -> list[dict[str, str]]:
    """List the dates from which another model version made the scores.

    Returns
    -------
    list of dict
        ``as_of``, the first date of the new version, ``before`` and ``after``.
    """
    return [
        {
            "as_of": after.as_of.isoformat(),
            "before": before.model_version,
            "after": after.model_version,
        }
        for before, after in pairwise(dated)
        if before.model_version != after.model_version
    ]


def _run(row: Mapping[str, Any]) -> tuple[str, datetime]:
    return row["model_version"], row["issued_at"]


def _summed(rows: Sequence[Mapping[str, Any]], bands: Sequence[str]) -> PortfolioRun:
    by_band = {row["band"]: row for row in rows}
    accounts = sum(row["accounts"] for row in rows)
    counts = [
        BandCount(
            band,
            by_band[band]["accounts"] if band in by_band else 0,
            by_band[band]["mrr"] if band in by_band else None,
        )
        for band in bands
    ]
    amounts = [count.mrr for count in counts if count.mrr is not None]
    return PortfolioRun(
        as_of=rows[0]["as_of"],
        model_version=rows[0]["model_version"],
        issued_at=rows[0]["issued_at"],
        accounts=accounts,
        mean_score=math.fsum(row["accounts"] * row["mean_score"] for row in rows) / accounts,
        mrr=math.fsum(amounts) if amounts else None,
        bands=counts,
    )


def _refuse_no_runs(project: Project) -> None:
    with open_store(project, read_only=True) as store:
        if store.runs(project.outcome_name):
            return
    raise StoreError(
        f"No scores were issued yet{_of(project)}; issue some with 'healthscore score'"
    )


def _of(project: Project) -> str:
    return "" if project.outcome_name == MAIN else f" for outcome '{project.outcome_name}'"


def write_picture(trend: AccountTrend | PortfolioTrend, file: Path) -> None:
    """Draw a trend as an SVG file with a text alternative."""
    from pipelines.reports.figures.trend import account_plot, portfolio_plot

    if isinstance(trend, AccountTrend):
        text = account_plot(trend.to_dict(), trend.words.noun)
    else:
        text = portfolio_plot(trend.to_dict(), trend.words.noun)
    with replaced_whole(file) as fresh:
        fresh.write_text(text, encoding="utf-8")


def refuse_other_picture(file: Path | None) -> None:
    """Stop before any work when a picture could not be written under that name.

    Raises
    ------
    SettingsError
        When the file does not end in ``.svg``.
    """
    if file is not None and file.suffix.lower() != ".svg":
        raise SettingsError(
            f"The picture is written as .svg, and '{file}' ends in '{file.suffix}'; name another"
            " file with --svg"
        )
