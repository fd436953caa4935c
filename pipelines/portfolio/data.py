"""An issued run as a leader reads it: what is at stake, how sure that is, and what to do first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from features.errors import RegistryError
from features.json_values import Json
from pipelines.portfolio.matured import MaturedForecast, add_rows, matured_forecasts
from pipelines.portfolio.portfolio import Portfolio, sum_up
from pipelines.portfolio.sums import PartSummary
from pipelines.project.project import Project
from pipelines.reports.freshness import Freshness, freshness_of
from pipelines.reports.wording import prior_words

if TYPE_CHECKING:
    from models.measures.expected_loss import Forecast
    from models.registry.versions import VersionRecord

STEPS = 2


@dataclass(frozen=True)
class PortfolioReport:
    """One issued run with its forecast, and what became of earlier ones.

    Parameters
    ----------
    portfolio : Portfolio
        Bands, segments, sizes and whom to call first.
    outcome_name : str
        Name of the outcome.
    revision : int
        Which revision of the run.
    issued_at : datetime
        When it was issued, in UTC.
    created_at : str
        When its model was trained (ISO, UTC).
    window : (date, date)
        The outcome window: its first day and the first day after it.
    accounts : Forecast
        Accounts to which the outcome will happen.
    arr : Forecast or None
        Their ARR; None where no MRR is known.
    spread : float or None
        How far the model may be off in the large, in log-odds; None where nothing is known of
        that and the intervals hold chance alone.
    matured : list of MaturedForecast
        By date.
    foretells : bool
        Whether it was shown that behaviour foretells the outcome.
    prior : str or None
        How much of the model is a scorecard; None where outcomes alone taught it.
    has_plays : bool
        Whether the configuration maps reasons to plays; False where the outcome is good news.
    notes : list of str
        What is missing and why, one sentence each.
    fresh : Freshness
        How old the scores are by the calendar.
    """

    portfolio: Portfolio
    outcome_name: str
    revision: int
    issued_at: datetime
    created_at: str
    window: tuple[date, date]
    accounts: Forecast
    arr: Forecast | None
    spread: float | None
    matured: list[MaturedForecast]
    foretells: bool
    prior: str | None
    has_plays: bool
    notes: list[str]
    fresh: Freshness

    def to_dict(self) -> Json:
        """Return what ``portfolio --json`` prints."""
        summed = self.portfolio
        return {
            "outcome": self.outcome_name,
            "kind": summed.outcome.kind,
            "as_of": summed.as_of.isoformat(),
            "model_version": summed.model_version,
            "revision": self.revision,
            "issued_at": f"{self.issued_at.isoformat()}Z",
            "window": [day.isoformat() for day in self.window],
            "accounts": summed.accounts,
            "arr": summed.arr,
            "accounts_without_arr": summed.unpriced,
            "expected_accounts": self.accounts.to_dict(),
            "expected_arr": None if self.arr is None else self.arr.to_dict(),
            "calibration_spread": self.spread,
            "bands": [asdict(band) for band in summed.bands],
            "segments": [_part(part, "segment") for part in summed.segments],
            "sizes": [_part(part, "arr_from") for part in summed.sizes],
            "calls": [call.to_dict() for call in summed.calls],
            "matured": [matured.to_dict() for matured in self.matured],
            "enough_evidence": self.foretells,
            "prior": self.prior,
            "days_old": self.fresh.days_old,
            "outdated": self.fresh.note,
            "notes": self.notes,
        }


def _part(part: PartSummary, name: str) -> Json:
    bands = [
        {key: band[key] for key in band if key != "observed"} for band in map(asdict, part.bands)
    ]
    return {
        name: part.name,
        "accounts": part.accounts,
        "arr": part.arr,
        "expected_accounts": part.expected_accounts,
        "expected_arr": part.expected_arr,
        "bands": bands,
    }


def portfolio_report(
    project: Project,
    *,
    as_of: date | None = None,
    model_version: str | None = None,
    calls: int = 10,
) -> PortfolioReport:
    """Sum up an issued run, say how sure its forecast is, and look back on earlier ones.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    as_of : date, optional
        The run's date; the newest by default.
    model_version : str, optional
        Of that date's runs, the one of this model; the last issued by default.
    calls : int
        Most accounts to call.

    Raises
    ------
    StoreError
        When there is no such run, or the store cannot be read.
    RegistryError
        When the run's model is not in the registry.
    DataError
        When the tables break the contract.
    """
    from models.measures.expected_loss import LossForecast
    from pipelines.project.company import open_company
    from pipelines.reports.terminal.progress import show_progress
    from pipelines.store.issued import issued_run
    from pipelines.store.opening import open_store

    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name, as_of, model_version)
        champion = project.registry.version(run.key.model_version)
        model, version = champion.model, champion.version
        notes: list[str] = []
        record = _record(project, version, notes)
        spread = None if record is None else record.spread
        accounts, arr = (LossForecast(spread or 0.0) for _ in range(2))
        with show_progress("Portfolio") as step:
            step("summing up", 1, STEPS)
            watch = [lambda rows: add_rows(rows, accounts, arr)]
            summed = sum_up(project, store, run, model, calls, watch)
            step("looking back", 2, STEPS)
            matured: list[MaturedForecast] = []
            if record is not None:
                with open_company(project) as company:
                    matured, missing = matured_forecasts(project, store, company, run, record)
                notes += missing
    plays = project.settings.plays
    opens = run.key.as_of + timedelta(days=project.settings.outcome.lead_days)
    return PortfolioReport(
        portfolio=summed,
        outcome_name=project.outcome_name,
        revision=run.revision,
        issued_at=run.issued_at,
        created_at=champion.created_at,
        window=(opens, opens + timedelta(days=project.settings.outcome.horizon_days)),
        accounts=accounts.forecast(),
        arr=None if summed.arr is None else arr.forecast(),
        spread=spread,
        matured=matured,
        foretells=champion.foretells,
        prior=prior_words(model, project.settings.outcome.words),
        has_plays=bool(plays.signals or plays.groups) and not model.scale.good,
        notes=[*_doubts(summed, spread), *notes],
        fresh=freshness_of(project.settings.outcome, run.key.as_of),
    )


def _record(project: Project, version: str, notes: list[str]) -> VersionRecord | None:
    try:
        return project.registry.record(version)
    except RegistryError as error:
        notes.append(str(error).rstrip("."))
        return None


def _doubts(summed: Portfolio, spread: float | None) -> list[str]:
    doubts = []
    if summed.arr is None:
        doubts.append(
            "No MRR is mapped, so accounts are counted and no money is shown; map mrr under"
            " [tables.subscriptions]"
        )
    elif summed.unpriced:
        doubts.append(
            f"The MRR of {summed.unpriced:,} of {summed.accounts:,} accounts is not known: sums of"
            " ARR leave them out"
        )
    if spread is None:
        doubts.append(
            "How far the model may be off throughout is not known, so intervals hold chance alone"
            " and are too narrow"
        )
    return doubts
