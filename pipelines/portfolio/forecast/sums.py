"""A forecast in figures: each period and the whole, of the book and of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.portfolio.forecast.fiscal import Period

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.measures.expected_loss import Forecast
    from models.scoring.timing.retention.draws import Futures

MONEY = ("opening", "lost", "smaller", "larger", "closing", "up", "renewed")


@dataclass(frozen=True)
class Retention:
    """What is kept of what was there: shares with their 90 % intervals.

    Parameters
    ----------
    gross : Forecast or None
        Gross revenue retention: ARR of the accounts that were there when the period opened, what
        they lost taken off and nothing added; None where no MRR is known.
    net : Forecast or None
        Net revenue retention: the same with what they added.
    accounts : Forecast
        Share of the accounts.
    """

    gross: Forecast | None
    net: Forecast | None
    accounts: Forecast

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "gross_retention": _described(self.gross),
            "net_retention": _described(self.net),
            "account_retention": self.accounts.to_dict(),
        }


@dataclass(frozen=True)
class PeriodForecast:
    """One period of the forecast.

    Parameters
    ----------
    period : Period
        Which.
    money : dict of str to Forecast
        ARR by :data:`MONEY`: at the opening, lost with accounts, by accounts that stay and pay
        less, won from accounts that pay more, at the closing; that of contracts which renew in the
        period, and what is kept of it. Empty where no MRR is known.
    accounts, lost_accounts : Forecast
        Accounts there when it opens, and those that leave.
    retention : Retention
        What of them is kept.
    renewal_rate : Forecast or None
        Gross renewal rate: of the ARR of contracts that renew in the period what is kept, nothing
        added; of the accounts where no MRR is known. None where none renews.
    """

    period: Period
    money: dict[str, Forecast]
    accounts: Forecast
    lost_accounts: Forecast
    retention: Retention
    renewal_rate: Forecast | None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "period": self.period.label,
            "from": self.period.opens.isoformat(),
            "until": self.period.closes.isoformat(),
            "is_rest": self.period.is_rest,
            "arr": {name: one.to_dict() for name, one in self.money.items()},
            "accounts": self.accounts.to_dict(),
            "accounts_lost": self.lost_accounts.to_dict(),
            **self.retention.to_dict(),
            "gross_renewal_rate": _described(self.renewal_rate),
        }


@dataclass(frozen=True)
class PartForecast:
    """The forecast of the book, or of a part of it.

    Parameters
    ----------
    name : str
        Segment or owner; "all" for the book.
    accounts : int
        Accounts in it today.
    arr : float or None
        Their ARR.
    periods : list of PeriodForecast
        In order.
    whole : Retention
        From today to the end of the last period, account by account: one that shrinks and grows
        again has kept what is left.
    """

    name: str
    accounts: int
    arr: float | None
    periods: list[PeriodForecast]
    whole: Retention

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "name": self.name,
            "accounts": self.accounts,
            "arr": self.arr,
            "periods": [one.to_dict() for one in self.periods],
            "whole": self.whole.to_dict(),
        }


def part_of(
    name: str, futures: Futures, group: int, periods: Sequence[Period], *, has_money: bool
) -> PartForecast:
    """Read the figures of one group off the futures."""
    sums = {key: values[:, :, group] for key, values in futures.sums.items()}
    sums["closing"] = sums["opening"] - sums["lost"] - sums["smaller"] + sums["larger"]
    first = sums["opening"][:, 0]
    left = sums["accounts"][:, -1] - sums["accounts_lost"][:, -1]
    told = [
        _period(period, {key: values[:, place] for key, values in sums.items()}, has_money)
        for place, period in enumerate(periods)
    ]
    return PartForecast(
        name=name,
        accounts=round(float(sums["accounts"][0, 0])),
        arr=float(first[0]) if has_money else None,
        periods=told,
        whole=Retention(
            gross=share_of(futures.kept[:, group], first) if has_money else None,
            net=share_of(futures.ended[:, group], first) if has_money else None,
            accounts=share_of(left, sums["accounts"][:, 0]) or nothing(),
        ),
    )


def _period(period: Period, sums: dict[str, Floats], has_money: bool) -> PeriodForecast:
    opening, gross = sums["opening"], sums["opening"] - sums["lost"] - sums["smaller"]
    there = sums["accounts"]
    renewal = ("renewed", "up") if has_money else ("accounts_renewed", "accounts_up")
    return PeriodForecast(
        period=period,
        money={name: interval_of(sums[name]) for name in MONEY} if has_money else {},
        accounts=interval_of(there),
        lost_accounts=interval_of(sums["accounts_lost"]),
        retention=Retention(
            gross=share_of(gross, opening) if has_money else None,
            net=share_of(sums["closing"], opening) if has_money else None,
            accounts=share_of(there - sums["accounts_lost"], there) or nothing(),
        ),
        renewal_rate=share_of(*(sums[name] for name in renewal)),
    )


def interval_of(drawn: Floats) -> Forecast:
    """Mean of drawn sums, and their 90 % interval."""
    import numpy as np

    from models.measures.expected_loss import Forecast
    from models.measures.resampling import TAILS

    low, high = np.quantile(drawn, TAILS)
    mean = float(drawn.mean())
    return Forecast(mean, min(float(low), mean), max(float(high), mean))


def share_of(part: Floats, whole: Floats) -> Forecast | None:
    """Share of drawn sums; None where there is nothing to have a share of in most futures."""
    held = whole > 0
    if not held.mean() > 0.5:
        return None
    return interval_of(part[held] / whole[held])


def nothing() -> Forecast:
    """Return the share that is kept of nothing: all of it."""
    from models.measures.expected_loss import Forecast

    return Forecast(1.0, 1.0, 1.0)


def _described(forecast: Forecast | None) -> dict[str, float] | None:
    return None if forecast is None else forecast.to_dict()
