"""Before an experiment: how many accounts take part each month, and what so many would find."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from features.errors import EvidenceError
from features.json_values import JsonReady
from pipelines.plays.experiment.assign import COLUMNS, settings_of, taking_part
from pipelines.project.project import Project
from pipelines.project.settings.experiment import ExperimentSettings
from pipelines.store.opening import open_store

if TYPE_CHECKING:
    from pipelines.store.runs import Run

MONTH_DAYS = 30.4
MONTHS = (1, 2, 3, 6, 9, 12)
MOST_RUNS = 12


@dataclass(frozen=True)
class Power:
    """What an experiment of so many months finds.

    Parameters
    ----------
    months : int
        How long accounts are assigned.
    accounts : int
        How many that are.
    change : float
        Change of the share that churns which is found with a probability of 80 %.
    """

    months: int
    accounts: int
    change: float


@dataclass(frozen=True)
class Plan(JsonReady):
    """What is known before an experiment begins.

    Parameters
    ----------
    experiment, play : str
        What is tried.
    share : float
        Share that is left alone.
    now : int
        Accounts that take part at once.
    each_month : float
        Accounts that come to it in a month after that.
    risk : float
        Share of them expected to churn in the outcome window.
    smallest_change : float
        Change that is worth finding.
    needed : int or None
        Accounts after which it is found with a probability of 80 %; None where it is more than
        churn at all.
    months : int or None
        After so many months there are so many; None where they never come.
    power : tuple of Power
        What shorter and longer ones find.
    """

    experiment: str
    play: str
    share: float
    now: int
    each_month: float
    risk: float
    smallest_change: float
    needed: int | None
    months: int | None
    power: tuple[Power, ...]


def plan(project: Project, name: str) -> Plan:
    """Work out what an experiment would find, from the runs that were issued.

    Raises
    ------
    SettingsError
        When there is no such experiment, or its change is too small ever to be found.
    StoreError
        When no run was issued.
    EvidenceError
        When no account takes part.
    """
    from models.plays.experiment import accounts_needed, found_change

    settings = settings_of(project, name)
    now, each_month, risk = _accounts(project, settings)
    if not now or not 0 < risk < 1:
        raise EvidenceError(
            f"No account of the newest scores takes part in experiment '{name}'; widen its bands or"
            " segments, or name fewer accounts under exclude"
        )
    change = settings.smallest_change
    needed = accounts_needed(risk, settings.share, change) if change <= risk else None
    ahead = [(number, now + int(each_month * (number - 1))) for number in MONTHS]
    power = tuple(
        Power(number, accounts, found_change(accounts, risk, settings.share))
        for number, accounts in ahead
    )
    return Plan(
        name,
        settings.play,
        settings.share,
        now,
        each_month,
        risk,
        change,
        needed,
        None if needed is None else _months(needed, now, each_month),
        power,
    )


def _months(needed: int, now: int, each_month: float) -> int | None:
    """Count the months until so many accounts took part; None where they never do."""
    if needed <= now:
        return 1
    return 1 + ceil((needed - now) / each_month) if each_month else None


def _accounts(project: Project, settings: ExperimentSettings) -> tuple[int, float, float]:
    """Count who takes part now, how many come to it in a month, and their mean risk."""
    from pipelines.store.issued import issued_run

    with open_store(project, read_only=True) as store:
        newest = issued_run(store, project.outcome_name)
        runs = _one_a_date(store.runs(project.outcome_name), newest)
        seen: set[str] = set()
        added: list[int] = []
        risks: list[float] = []
        for run in runs:
            number = 0
            risks.clear()
            for batch in store.scores(run, columns=COLUMNS):
                rows = taking_part(batch.to_pandas(), settings)
                number += int((~rows["account_id"].isin(seen)).sum())
                seen |= set(rows["account_id"])
                risks += rows["probability"].tolist()
            added.append(number)
    days = (runs[-1].key.as_of - runs[0].key.as_of).days
    each_month = sum(added[1:]) * MONTH_DAYS / days if days else 0.0
    return len(risks), each_month, sum(risks) / len(risks) if risks else 0.0


def _one_a_date(runs: list[Run], newest: Run) -> list[Run]:
    """Keep the last run of each date, of the newest dates."""
    by_date = {run.key.as_of: run for run in runs if run.key.as_of <= newest.key.as_of}
    return [by_date[day] for day in sorted(by_date)][-MOST_RUNS:]
