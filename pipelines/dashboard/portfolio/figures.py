"""The key figures of a book, each beside what it was in the run before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.portfolio.words import interval
from pipelines.reports.wording import amount, count, day, money, percent, plural

if TYPE_CHECKING:
    from pipelines.dashboard.snapshot.portfolio_view import PortfolioView
    from pipelines.portfolio.words import StakeWords

SAME = "as before"


@dataclass(frozen=True)
class KeyFigure:
    """A figure at the top of the page.

    Parameters
    ----------
    label, figure : str
        What it is, and how much.
    certainty : str
        How sure that is, and what it is a part of.
    change : str
        How far it is from the run before; empty where there is none.
    way : {"more", "less", "same"}
        Which way it went.
    view : dict of str to str
        The view of the list that it leads to.
    """

    label: str
    figure: str
    certainty: str
    change: str
    way: str
    view: dict[str, str]


def figures_of(view: PortfolioView, words: StakeWords) -> list[KeyFigure]:
    """Choose the key figures of a book."""
    first, changes = view.bands[0], view.changes
    since = "" if changes is None else f" since {day(changes.as_of)}"
    figures = []
    if view.expected_arr is not None and view.arr is not None:
        expected = view.expected_arr.expected
        share = percent(expected / view.arr if view.arr else None)
        before = None if changes is None else changes.whole_before.stake
        figures.append(
            KeyFigure(
                words.total,
                money(expected),
                f"{interval(view.expected_arr, is_money=True)}; {share} of the ARR",
                *_change(expected, before, money, since),
                {"sort": "stake", "order": "desc"},
            )
        )
    accounts = view.expected_accounts
    before = None if changes is None else changes.whole_before.probability
    figures.append(
        KeyFigure(
            f"Accounts expected to {words.verb}",
            amount(accounts.expected),
            f"{interval(accounts, is_money=False)}, of {count(view.accounts)}",
            *_change(accounts.expected, before, amount, since),
            {"sort": "probability", "order": "desc"},
        )
    )
    if first.arr is not None and view.arr:
        before = None if changes is None else changes.first_before.arr
        part = f"{plural(first.accounts, 'account')}; {percent(first.arr / view.arr)} of the ARR"
        told = (f"ARR {first.band}", money(first.arr), part)
        moved = _change(first.arr, before, money, since)
    else:
        before = None if changes is None else float(changes.first_before.accounts)
        share = percent(first.accounts / view.accounts if view.accounts else None)
        told = (f"Accounts {first.band}", count(first.accounts), f"{share} of all")
        moved = _change(float(first.accounts), before, count, since)
    figures.append(KeyFigure(*told, *moved, {"band": first.band}))
    return figures


def _change(
    now: float, before: float | None, write: Callable[[float], str], since: str
) -> tuple[str, str]:
    """Write how far a figure is from what it was, and which way it went."""
    if before is None:
        return "", "same"
    if write(now) == write(before):
        return f"{SAME}{since}", "same"
    way, sign = ("more", "+") if now > before else ("less", "−")
    return f"{sign}{write(abs(now - before))}{since}", way
