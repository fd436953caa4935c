"""What earlier scores foretold of a whole portfolio, against what has happened since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from features.errors import RegistryError, sample
from features.json_values import Json
from pipelines.portfolio.sums import MONTHS
from pipelines.project.project import Project

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.tables.company import Company
    from models.measures.expected_loss import Forecast, LossForecast
    from models.registry.versions import VersionRecord
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

MOST_RUNS = 24
"""Where more runs have matured, the last one of each month is shown, and the newest so many."""


@dataclass(frozen=True)
class MaturedForecast:
    """One date's forecast and what happened, over the accounts of which that is known.

    Parameters
    ----------
    as_of : date
        The date.
    model_version : str
        Version of the model that foretold.
    issued : bool
        Whether these scores were issued; else the model was judged on them before it was
        registered.
    accounts : int
        Accounts of which is known what happened.
    unknown : int
        Further accounts that were scored: they were gone before the outcome window opened, or the
        tables no longer tell of them.
    forecast : Forecast
        Accounts to which the outcome happens.
    happened : int
        Those to which it did.
    arr_forecast : Forecast or None
        Their ARR; None where it is not known.
    arr_happened : float or None
        ARR, on the date, of those to which it happened.
    """

    as_of: date
    model_version: str
    issued: bool
    accounts: int
    unknown: int
    forecast: Forecast
    happened: int
    arr_forecast: Forecast | None
    arr_happened: float | None

    @property
    def held(self) -> bool:
        """Whether as many accounts as happened lie within the interval, to the whole account."""
        return round(self.forecast.low) <= self.happened <= round(self.forecast.high)

    @property
    def arr_held(self) -> bool | None:
        """Whether the ARR does."""
        if self.arr_forecast is None or self.arr_happened is None:
            return None
        return self.arr_forecast.low <= self.arr_happened <= self.arr_forecast.high

    @property
    def within(self) -> bool:
        """Whether what happened lies within the interval: the ARR, or accounts where it is None."""
        return self.held if self.arr_held is None else self.arr_held

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        money = self.arr_forecast
        return {
            "as_of": self.as_of.isoformat(),
            "model_version": self.model_version,
            "issued": self.issued,
            "accounts": self.accounts,
            "unknown": self.unknown,
            "forecast": self.forecast.to_dict(),
            "happened": self.happened,
            "held": self.held,
            "arr_forecast": None if money is None else money.to_dict(),
            "arr_happened": self.arr_happened,
            "arr_held": self.arr_held,
        }


class _Tally:
    """Accounts of one date, batch by batch."""

    def __init__(self, spread: float | None) -> None:
        from models.measures.expected_loss import LossForecast

        self.accounts, self.arr = (LossForecast(spread or 0.0) for _ in range(2))
        self.rows = self.unknown = self.priced = 0
        self.happened, self.arr_happened = 0.0, 0.0

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows with ``probability``, ``mrr`` and ``happened``, NaN where it is not known."""
        known = rows[rows["happened"].notna()]
        self.unknown += len(rows) - len(known)
        self.rows += len(known)
        self.priced += int(known["mrr"].notna().sum())
        happened = known["happened"].to_numpy(dtype=float)
        self.happened += float(happened.sum())
        self.arr_happened += add_rows(known, self.accounts, self.arr) @ happened

    def told(self, as_of: date, version: str, *, issued: bool) -> MaturedForecast:
        return MaturedForecast(
            as_of=as_of,
            model_version=version,
            issued=issued,
            accounts=self.rows,
            unknown=self.unknown,
            forecast=self.accounts.forecast(),
            happened=round(self.happened),
            arr_forecast=self.arr.forecast() if self.priced else None,
            arr_happened=float(self.arr_happened) if self.priced else None,
        )


def add_rows(rows: pd.DataFrame, accounts: LossForecast, arr: LossForecast) -> Any:
    """Add rows with ``probability`` and ``mrr`` to two forecasts, and return their ARR.

    An MRR that is not known counts as none.
    """
    import numpy as np

    risk = rows["probability"].to_numpy(dtype=float)
    amount = MONTHS * rows["mrr"].fillna(0.0).to_numpy(dtype=float)
    accounts.add(risk, np.ones(len(rows)))
    arr.add(risk, amount)
    return amount


def matured_forecasts(
    project: Project,
    store: ScoreStore,
    company: Company,
    run: Run,
    record: VersionRecord,
) -> tuple[list[MaturedForecast], list[str]]:
    """Compare every earlier forecast whose outcome window is over with what happened.

    Of several runs of a date the one issued last counts. A run whose model had been taught with
    outcomes that were not known on its date is no forecast and is left out. Dates on which the
    model of ``run`` was judged stand in where none was issued: there it had not seen the outcomes
    either, and the interval of each date is that which the other dates give.

    Parameters
    ----------
    project : Project
        Whose runs they are.
    store : ScoreStore
        An open store.
    company : Company
        The tables that say what happened.
    run : Run
        The run that is shown; later ones are left out.
    record : VersionRecord
        What is known of its model.

    Returns
    -------
    found : list of MaturedForecast
        By date.
    notes : list of str
        What was left out and why, one sentence each.
    """
    notes: list[str] = []
    runs = _matured_runs(project, store, company, run, record, notes)
    matured_runs = list(_of_runs(project, store, company, runs))
    if record.holdout is None:
        notes.append(
            f"Model version {run.key.model_version} was registered without the rows it was judged"
            " on, so earlier dates cannot be shown for it; models trained from now on keep them"
        )
        return matured_runs, notes
    shown = {matured.as_of for matured in matured_runs}
    matured_runs += _of_holdout(company, record, record.holdout, shown)
    return sorted(matured_runs, key=lambda matured: matured.as_of), notes


def _matured_runs(
    project: Project,
    store: ScoreStore,
    company: Company,
    shown: Run,
    record: VersionRecord,
    notes: list[str],
) -> dict[date, tuple[Run, VersionRecord]]:
    """Choose a run for each date, with what is known of its model."""
    from features.outcomes.labels import days_to_label

    if not company.is_dated:
        return {}
    wait = timedelta(days=days_to_label(company, project.settings.outcome))
    records: dict[str, VersionRecord | None] = {record.version: record}
    chosen: dict[date, tuple[Run, VersionRecord]] = {}
    seen: set[date] = set()
    for run in store.runs(shown.key.outcome):
        day, version = run.key.as_of, run.key.model_version
        if day > shown.key.as_of or day + wait > company.data_end:
            continue
        if version not in records:
            try:
                records[version] = project.registry.record(version)
            except RegistryError:
                records[version] = None
        own = records[version]
        if own is not None and own.taught_until + wait <= day:
            chosen[day] = (run, own)
        else:
            seen.add(day)
    left_out = sorted(seen - set(chosen))
    if left_out:
        notes.append(
            f"Scores of {sample(left_out)} are no forecasts and are left out: their models may have"
            " been taught with what happened after those dates"
        )
    return _thinned(chosen, notes)


def _thinned(
    chosen: Mapping[date, tuple[Run, VersionRecord]], notes: list[str]
) -> dict[date, tuple[Run, VersionRecord]]:
    days = sorted(chosen)
    if len(days) > MOST_RUNS:
        days = list({(day.year, day.month): day for day in days}.values())[-MOST_RUNS:]
        notes.append(
            f"Of {len(chosen):,} dates whose outcome is known, the last of each month is shown,"
            f" and at most {MOST_RUNS}"
        )
    return {day: chosen[day] for day in days}


def _of_runs(
    project: Project,
    store: ScoreStore,
    company: Company,
    runs: Mapping[date, tuple[Run, VersionRecord]],
) -> Iterator[MaturedForecast]:
    for day, happened in what_happened(project, company, list(runs)):
        run, record = runs[day]
        tally = _Tally(record.spread)
        for batch in store.scores(run, columns=("account_id", "probability", "mrr")):
            rows = batch.to_pandas()
            rows["happened"] = rows["account_id"].map(happened)
            tally.add(rows)
        if tally.rows:
            yield tally.told(day, run.key.model_version, issued=True)


def what_happened(
    project: Project, company: Company, days: Sequence[date]
) -> Iterator[tuple[date, pd.Series[Any]]]:
    """Read off the tables what happened to each account that was active on some dates.

    Yields
    ------
    (date, Series)
        A date, and by account 1.0 where the outcome happened, 0.0 where it did not.
    """
    if not days:
        return
    labels = company.keep("what_happened", _labels(project, company, days))
    for day in days:
        yield day, _of_date(labels, day, "happened")


def _of_holdout(
    company: Company, record: VersionRecord, rows: pd.DataFrame, shown: set[date]
) -> Iterator[MaturedForecast]:
    from features.observations import active_accounts
    from models.registry.versions import spread_of

    days = {moment: moment.date() for moment in sorted(rows["observation_date"].unique())}
    has_money = company.has("subscriptions", "mrr")
    if has_money:
        active = active_accounts(company, list(days.values()))
        kept = active.select("account_id", "observation_date", "mrr")
        revenue = company.keep("holdout_revenue", kept)
    for moment, day in days.items():
        if day in shown:
            continue
        own = rows["observation_date"] == moment
        # What a date itself was off must not widen its own interval.
        tally = _Tally(spread_of(rows[~own]) if len(days) > 1 else None)
        here = rows.loc[own, ["account_id", "probability", "happened"]]
        mrr: Any = _of_date(revenue, day, "mrr") if has_money else {}
        tally.add(here.assign(mrr=here["account_id"].map(mrr).astype(float)))
        yield tally.told(day, record.version, issued=False)


def _labels(project: Project, company: Company, days: Sequence[date]) -> ir.Table:
    """Read off the tables what happened to each account that was active on some dates."""
    from features.observations import active_accounts
    from features.outcomes.labels import candidates, with_label

    outcome = project.settings.outcome
    rows = candidates(active_accounts(company, days), company, outcome, days)
    labelled = with_label(rows, company, outcome, days)
    return labelled.select("account_id", "observation_date", "happened")


def _of_date(table: ir.Table, day: date, column: str) -> pd.Series:
    """Fetch a column of one date by account."""
    import ibis

    here = table.filter(table.observation_date == ibis.timestamp(day.isoformat()))
    frame = here.select("account_id", column).execute()
    values: pd.Series = frame.set_index("account_id")[column]
    return values
