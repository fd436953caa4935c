"""The retention forecast as finance reads it: quarters, parts, renewals, earlier forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.errors import DataError, RegistryError, SettingsError
from pipelines.portfolio.forecast.fiscal import Period, periods_after
from pipelines.portfolio.forecast.foretelling import Foretold, foretell
from pipelines.portfolio.forecast.matured import QuarterHeld, held_quarters
from pipelines.portfolio.forecast.renewals import RenewalWeek, renewal_weeks
from pipelines.portfolio.forecast.sums import PartForecast
from pipelines.project.account_texts import account_texts
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from features.tables.company import Company
    from models.registry.versions import VersionRecord

STEPS = 3
FEW_LOSSES = 30
"""Fewer losses than this in past quarters teach rates that are hardly more than a guess."""


@dataclass(frozen=True)
class RetentionReport:
    """The retention forecast of an issued run.

    Parameters
    ----------
    outcome_name : str
        Name of the outcome whose scores were used.
    as_of : date
        The run's date.
    model_version : str
        What made the scores.
    revision : int
        Which revision of the run.
    periods : list of Period
        What is foretold.
    whole : PartForecast
        The book.
    segments, owners : list of PartForecast
        Its parts.
    weeks : list of RenewalWeek
        The renewals calendar.
    held : list of QuarterHeld
        What earlier runs foretold, and what came.
    learnt_from : (int, int)
        Past quarters, and accounts lost in them.
    foretells : bool
        Whether it was shown that behaviour foretells the outcome.
    notes : list of str
        What is missing or to be doubted, one sentence each.
    """

    outcome_name: str
    as_of: date
    model_version: str
    revision: int
    periods: list[Period]
    whole: PartForecast
    segments: list[PartForecast]
    owners: list[PartForecast]
    weeks: list[RenewalWeek]
    held: list[QuarterHeld]
    learnt_from: tuple[int, int]
    foretells: bool
    notes: list[str]

    @property
    def has_money(self) -> bool:
        """Whether any ARR is known."""
        return self.whole.arr is not None

    def to_dict(self) -> dict[str, Any]:
        """Return what ``forecast --json`` prints."""
        return {
            "outcome": self.outcome_name,
            "as_of": self.as_of.isoformat(),
            "model_version": self.model_version,
            "revision": self.revision,
            "book": self.whole.to_dict(),
            "segments": [part.to_dict() for part in self.segments],
            "owners": [part.to_dict() for part in self.owners],
            "renewals": [week.to_dict() for week in self.weeks],
            "held": [one.to_dict() for one in self.held],
            "quarters_learnt_from": self.learnt_from[0],
            "losses_learnt_from": self.learnt_from[1],
            "enough_evidence": self.foretells,
            "notes": self.notes,
        }


def retention_report(
    project: Project, *, as_of: date | None = None, model_version: str | None = None
) -> RetentionReport:
    """Foretell the retention of the accounts of an issued run, quarter by quarter.

    Parameters
    ----------
    project : Project
        The configuration, of an outcome that is churn.
    as_of : date, optional
        The run's date; the newest by default.
    model_version : str, optional
        Of that date's runs, the one of this model; the last issued by default.

    Raises
    ------
    SettingsError
        When the outcome is another than churn.
    DataError
        When the accounts have no dates.
    EvidenceError
        When no past quarter is over.
    StoreError
        When there is no such run, or the store cannot be read.
    RegistryError
        When the run's model is not in the registry.
    """
    from pipelines.project.company import open_company
    from pipelines.reports.terminal.progress import show_progress
    from pipelines.store.issued import issued_run
    from pipelines.store.opening import open_store

    settings = project.settings
    if settings.outcome.kind != "churn":
        raise SettingsError(
            f"Retention is predicted from the risk of churn, and the outcome"
            f" {project.outcome_name} is {settings.outcome.kind}; name an outcome of that kind with"
            " --outcome"
        )
    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name, as_of, model_version)
        champion = project.registry.version(run.key.model_version)
        notes: list[str] = []
        record = _record(project, champion.version, notes)
        forecast = settings.forecast
        day = run.key.as_of
        periods = periods_after(day, forecast.fiscal_year_start, forecast.quarters)
        with open_company(project) as company, show_progress("Forecast") as step:
            _refuse_undated(company)
            step("reading past quarters", 1, STEPS)
            owners = _owners(project, company)
            told = foretell(project, store, company, run, champion.model, record, periods, owners)
            step("looking back", 2, STEPS)
            held, more = held_quarters(project, store, company, run)
            step("listing renewals", 3, STEPS)
            weeks = _weeks(project, told, day, periods[-1].closes, champion.model.scale.bands)
            notes += [*_doubts(company, told), *more]
    return RetentionReport(
        outcome_name=project.outcome_name,
        as_of=day,
        model_version=champion.version,
        revision=run.revision,
        periods=periods,
        whole=told.whole,
        segments=told.segments,
        owners=told.owners,
        weeks=weeks,
        held=held,
        learnt_from=(told.book.quarters, told.book.losses),
        foretells=champion.foretells,
        notes=notes,
    )


def _record(project: Project, version: str, notes: list[str]) -> VersionRecord | None:
    try:
        return project.registry.record(version)
    except RegistryError as error:
        notes.append(str(error).rstrip("."))
        return None


def _refuse_undated(company: Company) -> None:
    if not company.is_dated:
        raise DataError(
            "Retention is predicted from past quarters, and these accounts are one snapshot without"
            " dates; map tables with dates"
        )


def _owners(project: Project, company: Company) -> pd.Series[str] | None:
    """Look up who looks after each account, where a column says so."""
    import pandas as pd

    from features.builders.owners import owner_attributes

    named = [project.settings.serve.owner, *owner_attributes(company, project.settings.signals)]
    owners = account_texts(project, None, next(filter(None, named), None))
    return pd.Series(owners) if owners else None


def _weeks(
    project: Project, told: Foretold, day: date, until: date, bands: tuple[str, ...]
) -> list[RenewalWeek]:
    accounts = told.accounts
    ahead = accounts["days_to_renewal"]
    shown = accounts[ahead.notna() & (ahead < (until - day).days)]
    names = account_texts(project, shown["account_id"].tolist(), "name")
    return renewal_weeks(accounts, day, until, bands, names, has_money=told.whole.arr is not None)


def _doubts(company: Company, told: Foretold) -> list[str]:
    """Say what makes the forecast worth less, one sentence each."""
    doubts = []
    accounts = told.accounts
    unpriced = int(accounts["arr"].isna().sum())
    if told.whole.arr is None:
        doubts.append(
            "No MRR is known, so accounts are counted and no money is shown; map mrr under"
            " [tables.subscriptions]"
        )
    elif unpriced:
        doubts.append(
            f"The MRR of {unpriced:,} of {len(accounts):,} accounts is not known: sums of ARR leave"
            " them out"
        )
    if accounts["days_to_renewal"].isna().all():
        doubts.append(
            "No contract has a renewal date to come, so every account is taken to leave at will and"
            " no renewal is listed; map renewal_at under [tables.subscriptions]"
        )
    if told.book.losses < FEW_LOSSES:
        doubts.append(
            f"Only {told.book.losses} accounts were lost in {told.book.quarters} past quarters:"
            " rates are hardly more than a guess, and intervals are wide"
        )
    quality = company.quality.get("subscriptions")
    doubts += [
        problem for problem in (quality.problems if quality else ()) if "currencies" in problem
    ]
    return doubts
