"""The portfolio at a glance: bands, the money in them, and whom to call first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.errors import StoreError
from pipelines.config import Project
from pipelines.score import Issued

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from features.outcomes import OutcomeSettings

MONTHS = 12
SUMMED = ("account_id", "segment", "score", "band", "probability", "mrr")
EXPLAINED = ("account_id", "reason_signals", "reason_points", "reason_values")


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
    from pipelines.store import RunKey, open_store

    key = RunKey(issued.outcome, issued.as_of, issued.model_version)
    with open_store(project, read_only=True) as store:
        run = store.newest(key)
        if run is None:
            raise StoreError(
                f"The score store '{store.shown}' holds no scores of {key}; issue them with"
                " 'healthscore score'"
            )
        sums, first = _summed(store.scores(run, columns=SUMMED), calls)
        chosen = first["account_id"].tolist()
        rows = store.scores(run, accounts=chosen, columns=EXPLAINED).read_all().to_pylist()
    has_money = bool(sums["known"].sum())
    observed = {band["band"]: band for band in issued.model.bands}
    sums = sums.reindex(list(issued.model.scale.bands), fill_value=0)
    bands = [
        BandSummary(
            str(band),
            int(row["accounts"]),
            float(row["arr"]) if has_money else None,
            float(row["probability"] / row["accounts"]) if row["accounts"] else 0.0,
            observed.get(str(band)),
        )
        for band, row in sums.iterrows()
    ]
    reasons = {row["account_id"]: row for row in rows}
    return Portfolio(
        project.settings.outcome,
        issued.as_of,
        issued.model_version,
        bands,
        float(sums["arr"].sum()) if has_money else None,
        float(sums["stake"].sum()) if has_money else None,
        _calls(project, issued, first, reasons, has_money),
    )


def _summed(batches: pa.RecordBatchReader, calls: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add up the bands and keep the accounts with most at stake, batch by batch."""
    import pandas as pd

    parts = []
    # Whether money is at stake or a probability alone is known only at the end.
    by_money = by_probability = batches.schema.empty_table().to_pandas()
    for batch in batches:
        rows = batch.to_pandas()
        rows["arr"] = MONTHS * rows["mrr"].fillna(0.0)
        rows["stake"] = rows["probability"] * rows["arr"]
        parts.append(
            rows.groupby("band").agg(
                accounts=("account_id", "size"),
                known=("mrr", "count"),
                arr=("arr", "sum"),
                probability=("probability", "sum"),
                stake=("stake", "sum"),
            )
        )
        by_money = _most(by_money, rows, "stake", calls)
        by_probability = _most(by_probability, rows, "probability", calls)
    names = ["accounts", "known", "arr", "probability", "stake"]
    sums = pd.concat(parts).groupby(level=0).sum() if parts else pd.DataFrame(columns=names)
    return sums, by_money if sums["known"].sum() else by_probability


def _most(held: pd.DataFrame, rows: pd.DataFrame, stake: str, calls: int) -> pd.DataFrame:
    import pandas as pd

    both = pd.concat([held, rows]) if len(held) else rows
    return both.sort_values([stake, "account_id"], ascending=[False, True]).head(calls)


def _calls(
    project: Project,
    issued: Issued,
    first: pd.DataFrame,
    reasons: dict[str, dict[str, Any]],
    has_money: bool,
) -> list[Call]:
    names = account_names(project, first["account_id"].tolist())
    return [
        Call(
            account_id=row["account_id"],
            name=names.get(row["account_id"]),
            segment=row["segment"],
            score=float(row["score"]),
            band=row["band"],
            probability=float(row["probability"]),
            arr=float(row["arr"]) if has_money else None,
            sentences=_telling_sentences(issued, reasons[row["account_id"]]),
        )
        for row in first.to_dict("records")
    ]


def _telling_sentences(issued: Issued, row: dict[str, Any], limit: int = 3) -> list[str]:
    """Say the stored reasons that make the outcome likelier, the largest first.

    They cost points where the outcome is bad news and bring some where it is good.
    """
    from models.explain import sentence

    signals = {signal.name: signal for signal in issued.model.signals}
    good = issued.model.scale.good
    reasons = zip(row["reason_signals"], row["reason_values"], row["reason_points"], strict=True)
    telling = [reason for reason in reasons if (reason[2] > 0) == good]
    return [sentence(signals[name], value, points) for name, value, points in telling[:limit]]


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
