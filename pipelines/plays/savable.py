"""Whom to call first of the newest issued scores, by what a call is expected to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.json_values import JsonReady
from pipelines.project.account_texts import NAME, account_texts
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.plays.effects import PlaysReport

MONTHS = 12
COLUMNS = ("account_id", "segment", "probability", "mrr")
# Accounts held at once while a run is read; each owner's best are far fewer.
MOST_HELD = 5000


@dataclass(frozen=True)
class Savable(JsonReady):
    """An account to call.

    Parameters
    ----------
    account_id, segment : str
        Which one.
    owner : str or None
        Who looks after it.
    probability : float
        Risk if nobody acts.
    arr : float or None
        Twelve times its MRR.
    play : str
        What to do; "" without evidence.
    hours : float
        What it takes.
    kept, kept_low, kept_high : float
        ARR it is expected to keep with its 90 % interval; accounts where no MRR is known.
    standing : str
        See :func:`models.plays.savable.kept_per_hour`.
    name : str or None
        What people call it, where that is known.
    """

    account_id: str
    segment: str
    owner: str | None
    probability: float
    arr: float | None
    play: str
    hours: float
    kept: float
    kept_low: float
    kept_high: float
    standing: str
    name: str | None = None


@dataclass(frozen=True)
class SavableFirst(JsonReady):
    """The order of calls.

    Parameters
    ----------
    as_of : date
        Date of the scores.
    by_evidence : bool
        Whether any play was shown to help; else the order is that of the expected loss.
    calls : tuple of Savable
        The best first, within the owners' hours.
    standings : dict of str to int
        Accounts by standing.
    idle : tuple of str
        Owners with hours who look after none of the accounts that were ranked: gone, or spelled
        otherwise.
    """

    as_of: date
    by_evidence: bool
    calls: tuple[Savable, ...]
    standings: dict[str, int]
    idle: tuple[str, ...] = ()


def savable_first(project: Project, report: PlaysReport, calls: int) -> SavableFirst | None:
    """Rank the accounts of the newest issued run; None where none was issued.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    import pandas as pd

    from models.plays.savable import kept_per_hour, levers, within_capacity
    from pipelines.store.opening import open_store
    from pipelines.store.runs import EarlierStore, NoStore

    parts: list[pd.DataFrame] = []
    standings: dict[str, int] = {}
    try:
        with open_store(project, read_only=True) as store:
            runs = store.runs(project.outcome_name)
            if not runs:
                return None
            run = runs[-1]
            for batch in store.scores(run, columns=COLUMNS):
                rows = batch.to_pandas()
                known = rows["mrr"].notna()
                rows["arr"] = MONTHS * rows["mrr"].fillna(0.0) if known.any() else 1.0
                segments = sorted(set(rows["segment"]))
                hours = project.settings.plays.hours
                plays = levers(report.plays, segments, hours, report.trials)
                ranked = kept_per_hour(rows, plays)
                for standing, number in ranked["standing"].value_counts().items():
                    standings[str(standing)] = standings.get(str(standing), 0) + int(number)
                parts = [_best(pd.concat([*parts, ranked]))]
    except (NoStore, EarlierStore):
        return None
    if not parts:
        return None
    ranked = parts[0]
    owners = account_texts(project, ranked["account_id"].tolist(), project.settings.serve.owner)
    ranked["owner"] = [owners.get(account) for account in ranked["account_id"]]
    capacity = project.settings.owners.capacity
    idle = tuple(sorted(capacity.keys() - set(ranked["owner"])))
    ranked = ranked[within_capacity(ranked, ranked["owner"].to_numpy(dtype=object), capacity)]
    by_evidence = bool((ranked["kept"] > 0).any())
    ranked = ranked.head(calls)
    names = account_texts(project, ranked["account_id"].tolist(), NAME)
    return SavableFirst(
        as_of=run.key.as_of,
        by_evidence=by_evidence,
        calls=tuple(_call(row, names) for row in ranked.to_dict("records")),
        standings=standings,
        idle=idle,
    )


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the best: by what is kept an hour, and by the expected loss where nothing is known."""
    rows = rows.assign(loss=rows["probability"] * rows["arr"])
    harmed = rows["standing"] == "better left alone"
    by = ["kept_per_hour", "loss", "account_id"]
    return rows[~harmed].sort_values(by, ascending=[False, False, True]).head(MOST_HELD)


def _call(row: dict[Any, Any], names: Mapping[str, str]) -> Savable:
    owner, mrr = row["owner"], row["mrr"]
    return Savable(
        account_id=str(row["account_id"]),
        segment=str(row["segment"]),
        owner=None if owner is None else str(owner),
        probability=float(row["probability"]),
        arr=None if mrr != mrr else MONTHS * float(mrr),
        play=str(row["play"]),
        hours=float(row["hours"]),
        kept=float(row["kept"]),
        kept_low=float(row["kept_low"]),
        kept_high=float(row["kept_high"]),
        standing=str(row["standing"]),
        name=names.get(str(row["account_id"])),
    )
