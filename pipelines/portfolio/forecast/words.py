"""How the forecast is told: the headline, the key figures, and retention with its interval."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from pipelines.reports.segments import segment_words
from pipelines.reports.wording import between, count, day, money, percent, plural

if TYPE_CHECKING:
    from models.measures.expected_loss import Forecast
    from pipelines.portfolio.forecast.data import RetentionReport
    from pipelines.portfolio.forecast.matured import QuarterHeld

GROSS, NET, ACCOUNTS = "Gross revenue retention", "Net revenue retention", "Account retention"
RENEWAL = "Gross renewal rate"
TERMS = (
    (
        GROSS,
        "Of the ARR of the accounts that are there when a period opens, the share that is left when"
        " it closes: what accounts that leave take with them and what others pay less is taken off,"
        " and nothing is added. It is never above 100 %.",
    ),
    (
        NET,
        "The same with what accounts that stay pay more. New accounts are in neither.",
    ),
    (
        RENEWAL,
        "Of the ARR of the contracts that renew in a period, the share that is kept, nothing added."
        " It is lower than gross retention wherever only some of the contracts renew: the others"
        " are kept because they run on.",
    ),
    (
        ACCOUNTS,
        "Of the accounts that are there when a period opens, the share that is there when it"
        " closes, whatever they pay.",
    ),
)


def part_words(part: str, what: str) -> str:
    """Name the accounts of an owner or a segment.

    Examples
    --------
    >>> part_words("", "Owner"), part_words("plan=pro", "Segment")
    ('nobody', 'pro')
    """
    return (segment_words(part) if what == "Segment" else part) or "nobody"


def until(report: RetentionReport) -> date:
    """Return the last day that is foretold."""
    return report.periods[-1].closes - timedelta(days=1)


def headline(report: RetentionReport) -> str:
    """Say in one sentence what is expected to be kept."""
    whole, last = report.whole.whole, day(until(report))
    if not report.whole.accounts:
        return "No account was scored, so nothing can be predicted"
    if whole.gross is None or whole.net is None:
        return (
            f"About {percent(whole.accounts.expected, 0)} of"
            f" {plural(report.whole.accounts, 'account')} are expected to stay until {last}"
        )
    gross, net = percent(whole.gross.expected), percent(whole.net.expected)
    grown = f", {net} with growth" if net != gross else ""
    return (
        f"About {gross} of {money(report.whole.arr)} ARR is expected to be kept until {last}{grown}"
    )


def figures(report: RetentionReport) -> list[tuple[str, str, str]]:
    """List the key figures: what each is, the figure, and how sure it is."""
    whole, first = report.whole.whole, report.whole.periods[0]
    rows = [
        (f"{name} to {day(until(report))}", percent(one.expected), likely(one))
        for name, one in ((GROSS, whole.gross), (NET, whole.net), (ACCOUNTS, whole.accounts))
        if one is not None
    ]
    if first.renewal_rate is not None:
        up = first.money.get("up")
        of = f" of {money(up.expected)} ARR" if up else ""
        rows.append(
            (
                f"{RENEWAL}, {first.period.label}",
                percent(first.renewal_rate.expected),
                f"{likely(first.renewal_rate)}{of}",
            )
        )
    if report.held:
        held = sum(one.held for one in report.held)
        rows.append(
            (
                "Earlier forecasts that held",
                f"{held} of {len(report.held)}",
                "what came was in the interval; 9 in 10 should be",
            )
        )
    return rows


def likely(forecast: Forecast | None) -> str:
    """Write the interval of a share.

    Examples
    --------
    >>> from models.measures.expected_loss import Forecast
    >>> likely(Forecast(0.9, 0.85, 0.95))
    'between 85.0\u202f% and 95.0\u202f%'
    >>> likely(None)
    'not known'
    """
    return "not known" if forecast is None else between(forecast.low, forecast.high, percent)


def share(forecast: Forecast | None) -> str:
    """Write a share with its interval for a cell.

    Examples
    --------
    >>> from models.measures.expected_loss import Forecast
    >>> share(Forecast(0.9, 0.85, 0.95)), share(None)
    ('90.0\u202f% (85.0 to 95.0)', '–')
    """
    if forecast is None:
        return "–"
    low, high = (f"{100 * bound:.1f}" for bound in (forecast.low, forecast.high))
    return f"{percent(forecast.expected)} ({low} to {high})"


def sum_of(forecast: Forecast | None, *, is_money: bool = True) -> str:
    """Write a sum with its interval for a cell."""
    if forecast is None:
        return "–"
    write = money if is_money else count
    return f"{write(forecast.expected)} ({write(forecast.low)} to {write(forecast.high)})"


def came(one: QuarterHeld) -> str:
    """Say what came of an earlier forecast, and whether it lies within the interval."""
    is_money = one.gross is not None and one.gross_came is not None
    seen = one.gross_came if is_money else one.accounts_came
    told = one.gross if is_money else one.accounts_kept
    assert seen is not None
    assert told is not None
    if one.held:
        return f"{percent(seen)}, within"
    return f"{percent(seen)}, {'more' if seen > told.high else 'less'}"
