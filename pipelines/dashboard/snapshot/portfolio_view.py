"""The portfolio that a visitor sees, summed up: bands, parts, forecasts, whom to call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from models.measures.expected_loss import Forecast, LossForecast
from models.scoring.scale import BANDS, GOOD_BANDS
from pipelines.dashboard.snapshot.calls import OpenedCall, calls_of
from pipelines.dashboard.snapshot.changes import Changes, compared
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.dashboard.snapshot.schema import FACETS
from pipelines.portfolio.sums import BandSummary, PartSummary, by_stake

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project

CALLS = 10
MOST_PARTS = 40
ROWS = 65_536
_SUMS = (
    "count(*) as accounts, count(mrr) as known, sum(arr) as arr, sum(probability) as probability,"
    " sum(stake) as stake"
)


@dataclass(frozen=True)
class Parts:
    """The portfolio split by one facet.

    Parameters
    ----------
    facet : str
        What it is split by, as addresses call it.
    label : str
        The same for people.
    parts : list of PartSummary
        The ones with most at stake, the most first; one without a name holds the accounts of which
        it is not known.
    left_out : int
        Parts beside these.
    """

    facet: str
    label: str
    parts: list[PartSummary]
    left_out: int


@dataclass(frozen=True)
class PortfolioView:
    """What is at stake in the accounts that a visitor sees.

    Parameters
    ----------
    bands : list of BandSummary
        From the highest probability to the lowest.
    expected_accounts : Forecast
        Accounts to which the outcome will happen.
    expected_arr : Forecast or None
        Their ARR; None where no MRR is known.
    arr : float or None
        ARR of all of them.
    unpriced : int
        Accounts whose ARR is not known; sums of ARR leave them out.
    splits : list of Parts
        By segment, owner, lifecycle stage and each attribute, where they are known.
    calls : list of OpenedCall
        Whom to call first.
    changes : Changes or None
        What changed since the run before; None where there is none.
    """

    bands: list[BandSummary]
    expected_accounts: Forecast
    expected_arr: Forecast | None
    arr: float | None
    unpriced: int
    splits: list[Parts]
    calls: list[OpenedCall]
    changes: Changes | None

    @property
    def accounts(self) -> int:
        """Accounts in the portfolio."""
        return sum(band.accounts for band in self.bands)


def portfolio_of(snapshot: Snapshot, visitor: Visitor, project: Project) -> PortfolioView:
    """Return what a visitor sees, summed up once for all who see the same accounts.

    Parameters
    ----------
    snapshot : Snapshot
        The scores.
    visitor : Visitor
        Who asks.
    project : Project
        The project of the snapshot's outcome, for its plays.
    """
    key = ("portfolio", visitor.owners)
    return snapshot.once(key, lambda: _summed(snapshot, visitor, project))


def _summed(snapshot: Snapshot, visitor: Visitor, project: Project) -> PortfolioView:
    """Sum up what a visitor sees; each question is one pass over their accounts."""
    order = GOOD_BANDS if project.settings.outcome.is_good else BANDS
    nobody = _summary(None, {}, order, snapshot.has_money)
    (whole,) = _parts(snapshot, visitor, None, order) or [nobody]
    observed = {} if snapshot.model is None else {one["band"]: one for one in snapshot.model.bands}
    accounts, arr = _forecasts(snapshot, visitor)
    priced = snapshot.ask(
        f"select count(mrr) as known from accounts where {snapshot.allowed(visitor)[0]}",
        snapshot.allowed(visitor)[1],
    )[0]["known"]
    return PortfolioView(
        bands=[replace(band, observed=observed.get(band.band)) for band in whole.bands],
        expected_accounts=accounts,
        expected_arr=arr if snapshot.has_money else None,
        arr=whole.arr,
        unpriced=whole.accounts - priced,
        splits=_splits(snapshot, visitor, order),
        calls=calls_of(snapshot, visitor, project, AccountQuery(size=CALLS)),
        changes=compared(snapshot, visitor),
    )


def _splits(snapshot: Snapshot, visitor: Visitor, order: Sequence[str]) -> list[Parts]:
    labels = {name: name.capitalize() for name in FACETS if name != "band"}
    labels["lifecycle"] = "Lifecycle stage"
    labels |= {one.name: one.label for one in snapshot.attributes if one.is_text}
    splits = []
    for facet, label in labels.items():
        if not snapshot.contents.known[snapshot.facets[facet]]:
            continue
        parts = sorted(_parts(snapshot, visitor, facet, order), key=by_stake)
        splits.append(Parts(facet, label, parts[:MOST_PARTS], max(len(parts) - MOST_PARTS, 0)))
    return splits


def _parts(
    snapshot: Snapshot, visitor: Visitor, facet: str | None, order: Sequence[str]
) -> list[PartSummary]:
    """Sum up by a facet, or all at once."""
    column = "null" if facet is None else snapshot.facets[facet]
    allowed, values = snapshot.allowed(visitor)
    rows = snapshot.ask(
        f"select {column} as part, band, {_SUMS} from accounts where {allowed} group by all", values
    )
    by_part: dict[str | None, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_part.setdefault(row["part"], {})[row["band"]] = row
    return [_summary(part, bands, order, snapshot.has_money) for part, bands in by_part.items()]


def _summary(
    name: str | None, rows: Mapping[str, Mapping[str, Any]], order: Sequence[str], has_money: bool
) -> PartSummary:
    none = {"accounts": 0, "arr": 0.0, "probability": 0.0, "stake": 0.0}
    bands = [(band, rows.get(band, none)) for band in order]
    return PartSummary(
        name,
        [
            BandSummary(
                band,
                row["accounts"],
                (row["arr"] or 0.0) if has_money else None,
                row["probability"] / row["accounts"] if row["accounts"] else 0.0,
                None,
            )
            for band, row in bands
        ],
        math.fsum(row["probability"] for _, row in bands),
        math.fsum(row["stake"] or 0.0 for _, row in bands) if has_money else None,
    )


def _forecasts(snapshot: Snapshot, visitor: Visitor) -> tuple[Forecast, Forecast]:
    """Add up probabilities and their ARR, with intervals."""
    import numpy as np

    spread = snapshot.contents.spread or 0.0
    accounts, arr = LossForecast(spread), LossForecast(spread)
    query = AccountQuery(sort="account_id", descending=False)
    for batch in snapshot.batches(visitor, query, ("probability", "arr"), ROWS):
        probability = batch.column("probability").to_numpy()
        amount = np.nan_to_num(batch.column("arr").to_numpy(zero_copy_only=False))
        accounts.add(probability, np.ones(len(probability)))
        arr.add(probability, amount)
    return accounts.forecast(), arr.forecast()
