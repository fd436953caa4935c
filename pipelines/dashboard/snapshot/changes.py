"""What changed since the run before, in the accounts that a visitor sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.catalog import CONTEXT
from pipelines.dashboard.snapshot.earlier import BASELINE
from pipelines.dashboard.snapshot.query import MOVES
from pipelines.dashboard.snapshot.schema import EVERY
from pipelines.portfolio.worklist.reasons import reasons_of
from pipelines.reports.wording import amount, day, money, plural

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel
    from models.scoring.scale import ScoreScale
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot

SHOWN = 5
"""So many of those that entered or left the first band are listed, the largest ARR first."""
_SUMS = (
    "count(*) as accounts, coalesce(sum(arr), 0) as arr, coalesce(sum(stake), 0) as stake,"
    " coalesce(sum(probability), 0) as probability"
)


@dataclass(frozen=True)
class Sums:
    """Accounts, their ARR, their expected loss, and to how many of them it is expected to happen.

    Money is 0 where none is known.
    """

    accounts: int
    arr: float
    stake: float
    probability: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.accounts + other.accounts,
            self.arr + other.arr,
            self.stake + other.stake,
            self.probability + other.probability,
        )


@dataclass(frozen=True)
class Mover:
    """An account that entered or left the first band, and what moved it."""

    row: Mapping[str, Any]
    why: str


@dataclass(frozen=True)
class Changes:
    """A book beside what it was on the date before.

    Parameters
    ----------
    as_of : date
        The date before.
    band : str
        The first band, such as at-risk.
    has_money : bool
        Whether any MRR is known.
    model_before, model : str
        What made the scores of either date.
    whole_before, whole : Sums
        All accounts of either date.
    first_before, first : Sums
        Those in the first band.
    entered, left, new, gone : Sums
        Accounts that came into the first band or left it, that were not scored before, and that
        are not scored any more.
    movers_in, movers_out : list of Mover
        The largest of those that entered and left.
    """

    as_of: date
    band: str
    has_money: bool
    model_before: str
    model: str
    whole_before: Sums
    whole: Sums
    first_before: Sums
    first: Sums
    entered: Sums
    left: Sums
    new: Sums
    gone: Sums
    movers_in: list[Mover]
    movers_out: list[Mover]

    @property
    def is_new_model(self) -> bool:
        """Whether another version of the model made the scores before."""
        return self.model_before != self.model

    def sentence(self, stake: str) -> str:
        """Say in one sentence what changed.

        Parameters
        ----------
        stake : str
            What probability times ARR is called.
        """
        if self.has_money:
            lead = f"{stake[:1].lower()}{stake[1:]}" if not stake.startswith("ARR") else stake
            then, now = money(self.whole_before.stake), money(self.whole.stake)
        else:
            lead = "accounts expected"
            then, now = amount(self.whole_before.probability), amount(self.whole.probability)
        said = f"{lead} {now}, as before" if then == now else f"{lead} {then} → {now}"
        entered = f"{plural(self.entered.accounts, 'account')} entered {self.band}"
        left = f"{self.left.accounts:,} left it"
        gone = f", {self.gone.accounts:,} no longer scored" if self.gone.accounts else ""
        return f"Since {day(self.as_of)}: {said}, {entered}, {left}{gone}"


def compared(snapshot: Snapshot, visitor: Visitor) -> Changes | None:
    """Compare what a visitor sees with the run before.

    Accounts belong to whoever looks after them today, on both dates. None where there is no run of
    an earlier date.
    """
    since, band = snapshot.contents.since, snapshot.contents.first_band
    if since is None:
        return None
    before = "score_before is not null"
    then = _sums(snapshot, visitor, before, suffix="_before")
    first_then = _sums(snapshot, visitor, "band_before = ?", [band], suffix="_before")
    return Changes(
        as_of=since.key.as_of,
        band=band,
        has_money=snapshot.has_money,
        model_before=since.key.model_version,
        model=snapshot.run.key.model_version,
        whole_before=then + _sums(snapshot, visitor, "true", table="gone"),
        whole=_sums(snapshot, visitor, "true"),
        first_before=first_then + _sums(snapshot, visitor, "band = ?", [band], table="gone"),
        first=_sums(snapshot, visitor, "band = ?", [band]),
        entered=_sums(snapshot, visitor, MOVES["entered"], [band]),
        left=_sums(snapshot, visitor, MOVES["left"], [band]),
        new=_sums(snapshot, visitor, MOVES["new"]),
        gone=_sums(snapshot, visitor, "true", table="gone"),
        movers_in=_movers(snapshot, visitor, MOVES["entered"], band),
        movers_out=_movers(snapshot, visitor, MOVES["left"], band),
    )


def _sums(
    snapshot: Snapshot,
    visitor: Visitor,
    where: str,
    values: list[str] | None = None,
    *,
    table: str = "accounts",
    suffix: str = "",
) -> Sums:
    allowed, own = snapshot.allowed(visitor)
    summed = _SUMS
    for name in ("arr", "stake", "probability"):
        summed = summed.replace(f"sum({name})", f"sum({name}{suffix})")
    (row,) = snapshot.ask(
        f"select {summed} from {table} where ({where}) and {allowed}", [*(values or []), *own]
    )
    return Sums(row["accounts"], row["arr"], row["stake"], row["probability"])


def _movers(snapshot: Snapshot, visitor: Visitor, where: str, band: str) -> list[Mover]:
    allowed, own = snapshot.allowed(visitor)
    size = "arr" if snapshot.has_money else "abs(change)"
    order = f"{size} desc nulls last, account_id"
    # Without the inner query the engine would read every column of every row.
    rows = snapshot.ask(
        f"select {EVERY} from accounts where rowid in (select rowid from accounts"
        f" where ({where}) and {allowed} order by {order} limit {SHOWN}) order by {order}",
        [band, *own],
    )
    told = [snapshot.told(row) for row in rows]
    return [Mover(row, why_moved(snapshot.model, row)) for row in told]


def why_moved(model: HealthModel | None, row: Mapping[str, Any]) -> str:
    """Say what moved a score most since the run before, in the way it went.

    Parameters
    ----------
    model : HealthModel or None
        What made the score; without it the group alone is told.
    row : mapping
        Everything a snapshot holds of the account.
    """
    if model is not None and _lingered(model.scale, row):
        return f"Beyond the limit of {row['band']} twice in a row"
    group, points = row["moved_group"], row["moved_points"]
    if group is None or points is None:
        return ""
    size = f"{points:+.1f} points".replace("-", "−")
    if group == BASELINE:
        return f"Another segment or model: {size}"
    named = "Contract and profile" if group == CONTEXT else str(group).capitalize()
    lead = f"{named} {size}"
    if points < 0 and model is not None and not model.scale.good:
        for reason in reasons_of(model, row):
            if reason.group == group:
                return f"{lead}: {reason.said}"
    return lead


def _lingered(scale: ScoreScale, row: Mapping[str, Any]) -> bool:
    """Tell whether a band changed though the score moved the other way, or not at all."""
    before, change = row.get("band_before"), row.get("change")
    if before is None or change is None or before == row["band"]:
        return False
    bands = list(scale.bands)
    rose = (bands.index(row["band"]) > bands.index(before)) != scale.good
    return bool(change <= 0) if rose else bool(change >= 0)
