"""Forecasts of earlier runs, against what came of the quarters that are over since."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from features.errors import RegistryError, sample
from pipelines.portfolio.forecast.fiscal import Period, periods_after
from pipelines.portfolio.forecast.foretelling import NoQuarter, foretell
from pipelines.portfolio.sums import MONTHS
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from features.tables.company import Company
    from models.measures.expected_loss import Forecast
    from models.registry.models import Champion
    from models.registry.versions import VersionRecord
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

MOST_RUNS = 4
"""Earlier quarters of which one run each is looked at; of a quarter the last run counts."""


@dataclass(frozen=True)
class QuarterHeld:
    """What one earlier run foretold to the end of the last quarter that is over, and what came.

    Parameters
    ----------
    as_of, until : date
        The run's date, and the first day after the quarter.
    label : str
        The quarter.
    model_version : str
        Of the run.
    accounts : int
        Accounts in it.
    gross, net : Forecast or None
        Foretold retention from the run's date to the quarter's end; None where no MRR is known.
    accounts_kept : Forecast
        Foretold share of accounts.
    gross_came, net_came : float or None
        What came.
    accounts_came : float
        The same.
    """

    as_of: date
    until: date
    label: str
    model_version: str
    accounts: int
    gross: Forecast | None
    net: Forecast | None
    accounts_kept: Forecast
    gross_came: float | None
    net_came: float | None
    accounts_came: float

    @property
    def held(self) -> bool:
        """Whether what came lies within the interval: gross retention, or accounts without ARR."""
        if self.gross is None or self.gross_came is None:
            return self.accounts_kept.low <= self.accounts_came <= self.accounts_kept.high
        return self.gross.low <= self.gross_came <= self.gross.high

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "as_of": self.as_of.isoformat(),
            "until": self.until.isoformat(),
            "quarter": self.label,
            "model_version": self.model_version,
            "accounts": self.accounts,
            "gross_retention": None if self.gross is None else self.gross.to_dict(),
            "gross_retention_came": self.gross_came,
            "net_retention": None if self.net is None else self.net.to_dict(),
            "net_retention_came": self.net_came,
            "account_retention": self.accounts_kept.to_dict(),
            "account_retention_came": self.accounts_came,
            "held": self.held,
        }


def held_quarters(
    project: Project, store: ScoreStore, company: Company, run: Run
) -> tuple[list[QuarterHeld], list[str]]:
    """Compare what earlier issued runs foretold with what came.

    Scores are read as they were issued; rates and spreads are learnt from what was over on the
    run's date alone. A run whose model may have been taught with outcomes after its date is no
    forecast and is left out.

    Returns
    -------
    held : list of QuarterHeld
        By date of the run.
    notes : list of str
        What was left out and why.
    """
    chosen, left_out = _runs_with_quarters_over(project, store, company, run)
    held: list[QuarterHeld] = []
    for one in chosen[-MOST_RUNS:]:
        with suppress(NoQuarter):
            held.append(_held(project, store, company, one))
    if not left_out:
        return held, []
    note = (
        f"Scores of {sample(sorted(left_out))} are no forecasts and are left out: their models may"
        " have been taught with what happened after those dates"
    )
    return held, [note]


@dataclass(frozen=True)
class _Earlier:
    """An earlier run, what made it, and the periods after it that are over."""

    run: Run
    champion: Champion
    record: VersionRecord
    over: list[Period]


def _runs_with_quarters_over(
    project: Project, store: ScoreStore, company: Company, shown: Run
) -> tuple[list[_Earlier], set[date]]:
    """Choose the last run of each quarter that is a forecast, and list dates of those left out."""
    from features.outcomes.labels import days_to_label

    outcome, forecast = project.settings.outcome, project.settings.forecast
    wait = timedelta(days=days_to_label(company, outcome))
    known = company.data_end - timedelta(days=outcome.grace_days)
    chosen: dict[str, _Earlier] = {}
    left_out: set[date] = set()
    for run in store.runs(shown.key.outcome):
        day = run.key.as_of
        periods = periods_after(day, forecast.fiscal_year_start, forecast.quarters)
        over = [each for each in periods if each.closes <= known]
        if day >= shown.key.as_of or not over:
            continue
        try:
            champion = project.registry.version(run.key.model_version)
            record = project.registry.record(champion.version)
        except RegistryError:
            left_out.add(day)
            continue
        if record.taught_until + wait > day:
            left_out.add(day)
            continue
        label = periods[0].label.removeprefix("rest of ")
        chosen[label] = _Earlier(run, champion, record, over)
    return list(chosen.values()), left_out - {one.run.key.as_of for one in chosen.values()}


def _held(project: Project, store: ScoreStore, company: Company, earlier: _Earlier) -> QuarterHeld:
    """Hold a run's forecast to the end of the last quarter that is over against what came."""
    run, last = earlier.run, earlier.over[-1]
    told = foretell(
        project, store, company, run, earlier.champion.model, earlier.record, earlier.over
    )
    grace = project.settings.outcome.grace_days
    gross, net, kept = what_came(company, told.accounts, last.closes, grace)
    whole = told.whole
    has_money = whole.arr is not None
    return QuarterHeld(
        as_of=run.key.as_of,
        until=last.closes,
        label=last.label,
        model_version=run.key.model_version,
        accounts=whole.accounts,
        gross=whole.whole.gross,
        net=whole.whole.net,
        accounts_kept=whole.whole.accounts,
        gross_came=gross if has_money else None,
        net_came=net if has_money else None,
        accounts_came=kept,
    )


def what_came(
    company: Company, accounts: pd.DataFrame, until: date, grace: int
) -> tuple[float, float, float]:
    """Measure the gross and net retention of some accounts to a day, and their share kept.

    Parameters
    ----------
    company : Company
        The tables.
    accounts : DataFrame of n rows
        ``account_id`` and ``arr``; accounts whose ARR is not known then or later are left out of
        the first two.
    until : date
        The day.
    grace : int
        Days within which an account that is gone may come back and was not lost.
    """
    import numpy as np

    from features.outcomes.revenue import revenue_on

    days = sorted({until, until + timedelta(days=grace)})
    states = revenue_on(company, days).execute()
    first, second = (
        states[states["observation_date"].dt.date == day].set_index("account_id")["mrr"]
        for day in (days[0], days[-1])
    )
    ids = accounts["account_id"]
    there = (ids.isin(first.index) | ids.isin(second.index)).to_numpy()
    mrr = ids.map(first).where(ids.isin(first.index), ids.map(second)).to_numpy(dtype=float)
    after = np.where(there, MONTHS * mrr, 0.0)
    before = accounts["arr"].to_numpy(dtype=float)
    known = ~np.isnan(before) & ~np.isnan(after)
    opening = float(before[known].sum())
    kept = float(there.mean()) if len(there) else 1.0
    if not opening:
        return 1.0, 1.0, kept
    gross = float(np.minimum(before, after)[known].sum()) / opening
    return gross, float(after[known].sum()) / opening, kept
