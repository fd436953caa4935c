"""How the portfolio page speaks of an outcome, of money at stake and of what came of a forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pipelines.reports.wording import amount, between, count, day, money, percent, plural

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeSettings
    from models.measures.expected_loss import Forecast
    from pipelines.portfolio.data import PortfolioReport
    from pipelines.portfolio.matured import MaturedForecast


LOSS = "Expected loss"


@dataclass(frozen=True)
class StakeWords:
    """Words for what is at stake.

    Only churn takes the whole ARR of an account. Of the other outcomes it is known whom they will
    happen to, not by how much, so the ARR is that of the accounts.

    Attributes
    ----------
    noun, past : str
        As in "12 % churn" and "accounts that churned".
    verb : str
        As in "accounts expected to churn".
    stake : str
        What probability times ARR is.
    total : str
        The same of the whole portfolio.
    came : str
        ARR of those to whom it happened.
    first : str
        Heading of the accounts to call.
    """

    noun: str
    past: str
    verb: str
    stake: str
    total: str
    came: str
    first: str

    @property
    def within(self) -> str:
        """What probability times ARR is, within a sentence."""
        return self.stake if self.stake.startswith("ARR") else self.stake.lower()


def stake_words(outcome: OutcomeSettings) -> StakeWords:
    """Choose the words for an outcome.

    Examples
    --------
    >>> from features.outcomes.settings import OutcomeSettings
    >>> stake_words(OutcomeSettings()).stake, stake_words(OutcomeSettings()).within
    ('Expected loss', 'expected loss')
    >>> growth = stake_words(OutcomeSettings(kind="expansion"))
    >>> growth.stake, growth.first
    ('ARR expected to expand', 'Where is most to be won?')
    """
    noun, past = outcome.words
    first = "Where is most to be won?" if outcome.is_good else "Who to call first?"
    if outcome.kind == "churn":
        return StakeWords(noun, past, "churn", LOSS, "Expected ARR lost", "ARR lost", first)
    verb = {
        "renewal": "be lost at renewal",
        "contraction": "contract",
        "expansion": "expand",
        "adoption": "adopt",
    }.get(outcome.kind, "have the outcome")
    stake = f"ARR expected to {verb}"
    return StakeWords(noun, past, verb, stake, stake, f"ARR that {past}", first)


def interval(forecast: Forecast, *, is_money: bool) -> str:
    """Write an interval of accounts or money.

    Examples
    --------
    >>> from models.measures.expected_loss import Forecast
    >>> interval(Forecast(51.8, 39.7, 64.6), is_money=False)
    'between 40 and 65'
    """
    return between(forecast.low, forecast.high, money if is_money else count)


def foretold(forecast: Forecast, *, is_money: bool) -> str:
    """Write a forecast with its interval for a cell of a table.

    Examples
    --------
    >>> from models.measures.expected_loss import Forecast
    >>> foretold(Forecast(51.8, 39.7, 64.6), is_money=False)
    '52 (40 to 65)'
    """
    write = money if is_money else amount
    return f"{write(forecast.expected)} ({write(forecast.low)} to {write(forecast.high)})"


def headline(report: PortfolioReport) -> str:
    """Say in one sentence what is at stake."""
    summed, words = report.portfolio, stake_words(report.portfolio.outcome)
    if report.prior is None and not report.foretells:
        return f"Behaviour was not shown to predict {words.noun}: do not act on these scores"
    return stake_sentence(
        words,
        Stake(summed.accounts, report.accounts, report.arr, summed.arr),
        last_day(report),
        is_over=report.fresh.is_over,
    )


@dataclass(frozen=True)
class Stake:
    """What a book holds: accounts, to how many it will happen, their ARR, and all of it."""

    accounts: int
    expected: Forecast
    expected_arr: Forecast | None
    arr: float | None


def stake_sentence(words: StakeWords, stake: Stake, until: date, *, is_over: bool) -> str:
    """Say in one sentence what is at stake; of a window that is over, what was.

    Parameters
    ----------
    words : StakeWords
        Those of the outcome.
    stake : Stake
        What a book holds.
    until : date
        Last day of the outcome window.
    is_over : bool
        Whether the day has passed.
    """
    one, several = ("was", "were") if is_over else ("is", "are")
    if stake.expected_arr is None or stake.arr is None:
        return (
            f"About {amount(stake.expected.expected)} of {plural(stake.accounts, 'account')}"
            f" {several} expected to {words.verb} by {day(until)}"
        )
    money_of = f"about {money(stake.expected_arr.expected)} of {money(stake.arr)} ARR"
    if words.stake == LOSS:
        return f"A{money_of[1:]} {one} expected to be lost by {day(until)}"
    return f"Accounts with {money_of} {several} expected to {words.verb} by {day(until)}"


def figures(report: PortfolioReport) -> list[tuple[str, str, str]]:
    """List the key figures: what each is, the figure, and how sure it is."""
    summed, words = report.portfolio, stake_words(report.portfolio.outcome)
    first = summed.bands[0]
    rows = []
    if report.arr is not None and summed.arr is not None:
        share = percent(report.arr.expected / summed.arr) if summed.arr else percent(None)
        sure = interval(report.arr, is_money=True)
        rows.append((words.total, money(report.arr.expected), f"{sure}; {share} of the ARR"))
    rows.append(
        (
            f"Accounts expected to {words.verb}",
            amount(report.accounts.expected),
            f"{interval(report.accounts, is_money=False)}, of {count(summed.accounts)}",
        )
    )
    if first.arr is not None and summed.arr:
        part = f"{plural(first.accounts, 'account')}; {percent(first.arr / summed.arr)} of the ARR"
        rows.append((f"ARR {first.band}", money(first.arr), part))
    else:
        share = percent(first.accounts / summed.accounts) if summed.accounts else percent(None)
        rows.append((f"Accounts {first.band}", count(first.accounts), f"{share} of all"))
    verdicts = [matured.within for matured in report.matured]
    if verdicts:
        rows.append(
            (
                "Earlier forecasts that held",
                f"{sum(verdicts)} of {len(verdicts)}",
                "what happened was in the interval; 9 in 10 should be",
            )
        )
    return rows


def verdict(matured: MaturedForecast, *, is_money: bool) -> str:
    """Say where what happened lies."""
    forecast = matured.arr_forecast if is_money else matured.forecast
    happened = matured.arr_happened if is_money else matured.happened
    held = matured.arr_held if is_money else matured.held
    if forecast is None or happened is None:
        return "not known"
    written = money(happened) if is_money else count(happened)
    if held:
        return f"{written}, within"
    less = "less" if is_money else "fewer"
    return f"{written}, {'more' if happened > forecast.high else less}"


def last_day(report: PortfolioReport) -> date:
    """Return the last day of the outcome window."""
    return report.window[1] - timedelta(days=1)
