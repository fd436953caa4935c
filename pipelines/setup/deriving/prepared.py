"""Tables that are read in another form before their roles are guessed, by views of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from features.packs.views import View, with_views
from pipelines.setup.deriving.account_names import with_account_ids
from pipelines.setup.deriving.file_states import guessed_without
from pipelines.setup.deriving.month_columns import measured_months
from pipelines.setup.deriving.movements import VIEW, contracts_of_movements

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

Guess = Callable[["Source"], tuple[list["TableGuess"], list[str]]]
"""Guesses the roles of a source's tables, and lists those that fit nothing."""


class Prepared(NamedTuple):
    """What is read otherwise, and the roles that are guessed then.

    Parameters
    ----------
    source : Source
        The tables and the views.
    views : mapping of str to View
        In the order in which they read one another.
    hidden : tuple of str
        Tables that have no role of their own.
    notes : list of str
        What a person should check.
    guesses : list of TableGuess
        The roles.
    left : list of str
        Tables that fit nothing.
    """

    source: Source
    views: Mapping[str, View]
    hidden: tuple[str, ...]
    notes: list[str]
    guesses: list[TableGuess]
    left: list[str]


def prepared(source: Source, hidden: tuple[str, ...], guess: Guess) -> Prepared:
    """Read months side by side as rows, names of accounts as their ids, movements as contracts.

    Parameters
    ----------
    source : Source
        The tables.
    hidden : tuple of str
        Those that have no role already.
    guess : callable
        Guesses roles.
    """
    stands, views, notes = measured_months(guessed_without(source, hidden))
    source, hidden = with_views(source, views), (*hidden, *stands)
    guesses, left = guess(guessed_without(source, hidden))
    accounts = next((each for each in guesses if each.name == "accounts"), None)
    named, further, said = with_account_ids(accounts, guessed_without(source, hidden))
    source, hidden = with_views(source, further), (*hidden, *named)
    if not _tells_ends(guesses):
        moved = contracts_of_movements(guessed_without(source, hidden))
        if moved is not None:
            ledger, sql, note = moved
            view = {VIEW: View(sql=sql)}
            source, hidden = with_views(source, view), (*hidden, ledger)
            further, said = further | view, [*said, note]
    if further:
        guesses, left = guess(guessed_without(source, hidden))
    return Prepared(source, views | further, hidden, [*notes, *said], guesses, left)


def _tells_ends(guesses: list[TableGuess]) -> bool:
    """Whether contracts say by themselves when they ended."""
    return any(each.name == "subscriptions" and not each.missing and each.columns.get("ended_at")
               for each in guesses)  # fmt: skip
