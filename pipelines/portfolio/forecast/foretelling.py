"""The forecast of one issued run: its scores and contracts, and what past quarters teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import EvidenceError
from pipelines.portfolio.forecast.fiscal import Period
from pipelines.portfolio.forecast.history import Past, read_past
from pipelines.portfolio.forecast.sums import PartForecast, part_of
from pipelines.portfolio.sums import MONTHS
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from features.tables.company import Company
    from models.arrays import Codes, Floats
    from models.registry.versions import VersionRecord
    from models.scoring.health_model import HealthModel
    from models.scoring.timing.retention.book import LearntBook
    from models.scoring.timing.retention.quarters import Span
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

READ = ("account_id", "segment", "score", "band", "probability", "mrr")


class NoQuarter(EvidenceError):  # noqa: N818
    """No quarter is over yet."""


@dataclass(frozen=True)
class Foretold:
    """What is foretold from one run.

    Parameters
    ----------
    accounts : DataFrame
        Its accounts with contract and score; ``risk`` is the chance of a loss in the period of the
        next renewal, or in the first one.
    book : LearntBook
        What past quarters taught.
    whole : PartForecast
        The book.
    segments, owners : list of PartForecast
        Its parts, the one with the largest ARR first; no owner where none is mapped.
    """

    accounts: pd.DataFrame
    book: LearntBook
    whole: PartForecast
    segments: list[PartForecast]
    owners: list[PartForecast]


def foretell(
    project: Project,
    store: ScoreStore,
    company: Company,
    run: Run,
    model: HealthModel,
    record: VersionRecord | None,
    periods: Sequence[Period],
    owners: pd.Series[str] | None = None,
) -> Foretold:
    """Foretell what comes of the accounts of an issued run, by what was known on its date.

    Parameters
    ----------
    project : Project
        The configuration.
    store, company
        Opened.
    run : Run
        An issued run, whose scores are read as they were issued.
    model : HealthModel
        What made it.
    record : VersionRecord or None
        What is on record of it.
    periods : sequence of Period
        The periods, from the run's date on.
    owners : Series or None
        Owner by account.

    Raises
    ------
    NoQuarter
        When no past quarter is over that could be learnt from.
    """
    from models.scoring.timing.retention.book import learn_book
    from models.scoring.timing.retention.draws import draw_futures

    holdout = None if record is None else record.holdout
    past = read_past(project, company, model.segments, holdout, run.key.as_of)
    if past.history.empty:
        raise NoQuarter(
            f"No quarter of 91 days was over on {run.key.as_of}: the data begin on"
            f" {company.data_start}, and rates are learnt from quarters that begin 56 days later;"
            " load a longer history"
        )
    book = learn_book(past.history, past.earlier)
    accounts = _accounts(store, run, model, past)
    spans = [period.span(run.key.as_of) for period in periods]
    accounts["risk"] = _risk_at_renewal(book, accounts, spans)
    parts = [accounts["account_id"].str.slice(0, 0), accounts["segment"]]
    if owners is not None:
        parts.append(accounts["account_id"].map(owners).fillna("").astype(str))
    codes, names = zip(*(_coded(part) for part in parts), strict=True)
    futures = draw_futures(book, accounts, spans, codes)
    has_money = bool((accounts["arr"] > 0).any())
    listed = [
        part_of(name, futures, place, periods, has_money=has_money)
        for place, name in enumerate(one for part in names for one in part)
    ]
    first, second = 1, 1 + len(names[1])
    return Foretold(
        accounts=accounts,
        book=book,
        whole=listed[0],
        segments=sorted(listed[first:second], key=_largest),
        owners=sorted(listed[second:], key=_largest),
    )


def _coded(names: pd.Series[str]) -> tuple[Codes, list[str]]:
    import pandas as pd

    codes, values = pd.factorize(names, sort=True)
    return codes.astype("int64"), [str(value) for value in values]


def _largest(part: PartForecast) -> tuple[float, str]:
    return -(part.arr if part.arr is not None else part.accounts), part.name


def _accounts(store: ScoreStore, run: Run, model: HealthModel, past: Past) -> pd.DataFrame:
    """Join a run's scores with the contracts of its date."""
    scored = store.scores(run, columns=READ).read_all().to_pandas()
    scored = scored.assign(
        arr=MONTHS * scored["mrr"].astype(float), log_odds=at_a_decision(model, scored)
    )
    contracts = past.now.drop(columns=["segment", "arr", "day"])
    rows: pd.DataFrame = scored.merge(contracts, on="account_id", how="left")
    return rows


def at_a_decision(model: HealthModel, scored: pd.DataFrame) -> Floats:
    """Log-odds that an issued score speaks of: (n,).

    Where the score speaks of the outcome window they are those of the issued probability; else
    those at a decision, which follow from the score by its scale.
    """
    import numpy as np
    from scipy.special import logit

    if model.timing is None:
        risk = np.clip(scored["probability"].to_numpy(dtype=float), 1e-9, 1 - 1e-9)
        return np.asarray(logit(risk))
    scale = model.scale
    points = scored["score"].to_numpy(dtype=float) - 50
    return np.asarray(logit(scale.anchor_probability) + points / scale.points_per_log_odds)


def _risk_at_renewal(book: LearntBook, accounts: pd.DataFrame, spans: Sequence[Span]) -> Floats:
    import numpy as np
    from scipy.special import expit

    ahead = accounts["days_to_renewal"].to_numpy(dtype=float)
    risk = expit(book.risk(accounts, spans[0], 0))
    for place, span in enumerate(spans):
        own = (ahead >= span.opens) & (ahead < span.closes)
        risk = np.where(own, expit(book.risk(accounts, span, place)), risk)
    return np.asarray(risk)
