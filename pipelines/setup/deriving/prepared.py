"""Tables that are read in another form before their roles are guessed, each by a view of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from features.packs.views import with_views
from pipelines.setup.deriving.account_names import with_account_ids
from pipelines.setup.deriving.file_states import guessed_without
from pipelines.setup.deriving.month_columns import measured_months

if TYPE_CHECKING:
    from features.packs.views import View
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

Guesses = Callable[["Source"], list["TableGuess"]]
"""Guesses the roles of a source's tables."""


class Prepared(NamedTuple):
    """What is read otherwise.

    Parameters
    ----------
    source : Source
        The tables and the views.
    views : mapping of str to View
        In the order in which they read one another.
    hidden : tuple of str
        Tables that a view stands for.
    notes : list of str
        What a person should check.
    """

    source: Source
    views: Mapping[str, View]
    hidden: tuple[str, ...]
    notes: list[str]


def prepared(source: Source, hidden: tuple[str, ...], guesses: Guesses) -> Prepared:
    """Read months side by side as rows, and accounts that are called by their names by their ids.

    Parameters
    ----------
    source : Source
        The tables.
    hidden : tuple of str
        Those that have no role already.
    guesses : callable
        Guesses roles.
    """
    stands, views, notes = measured_months(guessed_without(source, hidden))
    source = with_views(source, views) if views else source
    hidden = (*hidden, *stands)
    alone = guessed_without(source, hidden)
    accounts = next((each for each in guesses(alone) if each.name == "accounts"), None)
    named, named_views, named_notes = with_account_ids(accounts, alone)
    if named:
        source = with_views(source, named_views)
    return Prepared(source, views | named_views, (*hidden, *named), [*notes, *named_notes])
