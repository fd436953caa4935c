"""The portfolio at a glance: bands, the money in them, and whom to call first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pipelines.config import Project
from pipelines.score import Issued

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes import OutcomeSettings

MONTHS = 12


@dataclass(frozen=True)
class Call:
    """An account to call, and why."""

    account_id: str
    name: str | None
    segment: str
    score: float
    band: str
    probability: float
    arr: float | None
    sentences: list[str]


@dataclass(frozen=True)
class BandSummary:
    """One band: how many accounts, how much money, and what became of such accounts.

    Parameters
    ----------
    band : str
        Its name.
    accounts : int
        Accounts in it.
    arr : float or None
        Their ARR, in the currency of the tables; None where MRR is not mapped.
    expected_rate : float
        Mean calibrated probability.
    observed : dict or None
        What became of the band on the hold-out: ``observed_rate``, ``low``, ``high``, ``rows``.
    """

    band: str
    accounts: int
    arr: float | None
    expected_rate: float
    observed: dict[str, Any] | None


@dataclass(frozen=True)
class Portfolio:
    """One run of scores, summed up.

    Parameters
    ----------
    outcome : OutcomeSettings
        What the scores foretell.
    as_of : date
        Date they speak of.
    model_version : str
        Version of the model that made them.
    bands : list of BandSummary
        From the highest probability to the lowest.
    arr : float or None
        ARR of all accounts; None where MRR is not mapped.
    expected_arr : float or None
        ARR of the accounts to which the outcome will happen, as expected: the sum of probability
        times ARR. For churn it is the expected loss.
    calls : list of Call
        Whom to call first.
    """

    outcome: OutcomeSettings
    as_of: date
    model_version: str
    bands: list[BandSummary]
    arr: float | None
    expected_arr: float | None
    calls: list[Call]


def portfolio(project: Project, issued: Issued, calls: int = 5) -> Portfolio:
    """Sum up an issued run.

    Accounts to call come in the order of what is at stake: probability times ARR, or probability
    alone where MRR is not mapped. That is the expected loss for churn; for a good outcome it is
    where most can be won.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    from pipelines.store import read_scores

    scores = read_scores(project.store_file, issued.as_of, issued.model_version, issued.outcome)
    has_money = bool(scores["mrr"].notna().any())
    scores["arr"] = MONTHS * scores["mrr"].fillna(0.0)
    scores["stake"] = scores["probability"] * (scores["arr"] if has_money else 1.0)
    observed = {band["band"]: band for band in issued.model.bands}
    bands = []
    for band in issued.model.scale.bands:
        rows = scores[scores["band"] == band]
        bands.append(
            BandSummary(
                band,
                len(rows),
                float(rows["arr"].sum()) if has_money else None,
                float(rows["probability"].mean()) if len(rows) else 0.0,
                observed.get(band),
            )
        )
    first = scores.sort_values(["stake", "account_id"], ascending=[False, True]).head(calls)
    return Portfolio(
        project.settings.outcome,
        issued.as_of,
        issued.model_version,
        bands,
        float(scores["arr"].sum()) if has_money else None,
        float(scores["stake"].sum()) if has_money else None,
        _calls(project, issued, first, has_money),
    )


def _calls(project: Project, issued: Issued, first: pd.DataFrame, has_money: bool) -> list[Call]:
    from pipelines.store import read_reasons

    ids = first["account_id"].tolist()
    reasons = read_reasons(
        project.store_file, issued.as_of, issued.model_version, ids, issued.outcome
    )
    names = account_names(project, ids)
    return [
        Call(
            account_id=row["account_id"],
            name=names.get(row["account_id"]),
            segment=row["segment"],
            score=float(row["score"]),
            band=row["band"],
            probability=float(row["probability"]),
            arr=float(row["arr"]) if has_money else None,
            sentences=_telling_sentences(
                issued, reasons[reasons["account_id"] == row["account_id"]]
            ),
        )
        for row in first.to_dict("records")
    ]


def _telling_sentences(issued: Issued, reasons: pd.DataFrame, limit: int = 3) -> list[str]:
    """Say the stored reasons that make the outcome likelier, the largest first.

    They cost points where the outcome is bad news and bring some where it is good.
    """
    from models.explain import sentence

    signals = {signal.name: signal for signal in issued.model.signals}
    good = issued.model.scale.good
    telling = reasons[(reasons["points"] > 0) == good].head(limit)
    return [
        sentence(signals[name], value, points)
        for name, value, points in zip(
            telling["signal"], telling["value"], telling["points"], strict=True
        )
    ]


def account_names(project: Project, ids: list[str]) -> dict[str, str]:
    """Look up the names of some accounts, where the source has them."""
    from features.cleaning import clean_table
    from features.open_source import open_source

    with open_source(project.settings.source.url, project.folder) as source:
        tables = project.settings.tables
        # Whoever gets here has scores: whether accounts need dates has been settled before.
        table = clean_table("accounts", tables.accounts, source, is_dated=False)
        if not table.has("name"):
            return {}
        rows = table.cleaned.filter(table.cleaned.account_id.isin(ids))
        frame = rows.select("account_id", "name").execute().dropna()
    return dict(zip(frame["account_id"], frame["name"], strict=True))
