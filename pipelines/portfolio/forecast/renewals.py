"""The renewals calendar: what comes up for renewal week by week, and how healthy it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FIRST = 3
"""Accounts that a week names: those with most at stake."""


@dataclass(frozen=True)
class Renewal:
    """An account whose contract renews."""

    account_id: str
    name: str | None
    renews: date
    band: str
    score: float
    arr: float | None
    risk: float


@dataclass(frozen=True)
class RenewalWeek:
    """Renewals of one week.

    Parameters
    ----------
    monday : date
        Its first day.
    accounts : int
        Contracts that renew in it.
    arr : float or None
        Their ARR; None where no MRR is known.
    bands : dict of str to (int, float)
        Accounts and ARR by band, from the highest risk to the lowest.
    expected_lost : float
        ARR expected to be lost, or accounts where no MRR is known.
    first : list of Renewal
        The accounts with most at stake, the most first.
    """

    monday: date
    accounts: int
    arr: float | None
    bands: dict[str, tuple[int, float]]
    expected_lost: float
    first: list[Renewal]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "week": self.monday.isoformat(),
            "accounts": self.accounts,
            "arr": self.arr,
            "bands": {
                band: {"accounts": accounts, "arr": arr}
                for band, (accounts, arr) in self.bands.items()
            },
            "expected_lost": self.expected_lost,
            "first": [
                {
                    "account_id": one.account_id,
                    "renews": one.renews.isoformat(),
                    "band": one.band,
                    "score": one.score,
                    "arr": one.arr,
                    "risk": one.risk,
                }
                for one in self.first
            ],
        }


def renewal_weeks(
    accounts: pd.DataFrame,
    day: date,
    until: date,
    bands: Sequence[str],
    names: dict[str, str],
    *,
    has_money: bool,
) -> list[RenewalWeek]:
    """Sum up renewals by week; weeks without one are left out.

    Parameters
    ----------
    accounts : DataFrame of n rows
        ``account_id``, ``days_to_renewal``, ``arr``, ``band``, ``score`` and ``risk``, the chance
        that the account is lost in the quarter of its renewal.
    day, until : date
        The date the days count from, and the first that is no longer shown.
    bands : sequence of str
        In order.
    names : dict of str to str
        Names of accounts, where they are known.
    has_money : bool
        Whether any MRR is known.
    """
    ahead = accounts["days_to_renewal"]
    rows = accounts[ahead.notna() & (ahead >= 0) & (ahead < (until - day).days)]
    rows = rows.assign(amount=rows["arr"].fillna(0.0) if has_money else 1.0)
    rows = rows.assign(stake=rows["risk"] * rows["amount"])
    back = day.weekday()
    weeks = []
    for week, part in rows.groupby((rows["days_to_renewal"] + back) // 7):
        monday = day + timedelta(days=7 * int(week) - back)
        first = part.sort_values(["stake", "account_id"], ascending=[False, True]).head(FIRST)
        weeks.append(
            RenewalWeek(
                monday=monday,
                accounts=len(part),
                arr=float(part["arr"].sum()) if has_money else None,
                bands={band: _of(part[part["band"] == band]) for band in bands},
                expected_lost=float(part["stake"].sum()),
                first=[_renewal(row, day, names) for row in first.to_dict("records")],
            )
        )
    return weeks


def _of(part: pd.DataFrame) -> tuple[int, float]:
    return len(part), float(part["arr"].sum())


def _renewal(row: dict[Hashable, Any], day: date, names: dict[str, str]) -> Renewal:
    arr = float(row["arr"])
    return Renewal(
        account_id=row["account_id"],
        name=names.get(row["account_id"]),
        renews=day + timedelta(days=int(row["days_to_renewal"])),
        band=row["band"],
        score=float(row["score"]),
        arr=None if arr != arr else arr,
        risk=float(row["risk"]),
    )
