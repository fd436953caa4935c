"""Pieces of the queries that a draft writes: names and texts in quotes, keys that are compared."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import sqlglot as sg
import sqlglot.expressions as sge

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

WRITTEN = "duckdb"
"""The language that pieces are written in, before they are turned into the engine's own."""


def named(column: str) -> str:
    """Return a name in quotes.

    Examples
    --------
    >>> named("End (UTC)")
    '"End (UTC)"'
    """
    return str(sge.to_identifier(column, quoted=True).sql(WRITTEN))


def table_named(table: str) -> str:
    """Return a table's name in quotes, a schema's before it.

    Examples
    --------
    >>> table_named("crm/contracts")
    '"crm"."contracts"'
    """
    return ".".join(named(part) for part in table.split("/"))


def view_named(text: str, taken: Collection[str]) -> str:
    """Return what a view may be called: letters of ASCII and numbers, unlike what is there.

    Examples
    --------
    >>> view_named("first_Größe 1", ()), view_named("2024_named", ["View_2024_NAMED"])
    ('first_Gr_e_1', 'view_2024_named_')
    """
    name = re.sub("[^A-Za-z0-9_]+", "_", text)
    name = name if re.match("[A-Za-z_]", name) else f"view_{name}"
    known = {each.casefold() for each in taken}
    while name.casefold() in known:
        name += "_"
    return name


def literal(text: str) -> str:
    """Return a text as a literal."""
    return str(sge.Literal.string(text).sql(WRITTEN))


def same_text(source: Source, one: tuple[str, str, str], other: tuple[str, str, str]) -> str:
    """Return that two columns are equal; each is an alias, a table and a column.

    Keys of unlike types are compared as texts.
    """
    kinds = [source.tables[table][column].type() for _, table, column in (one, other)]
    sides = [f"{alias}.{named(column)}" for alias, _, column in (one, other)]
    if kinds[0].is_string() != kinds[1].is_string():
        sides = [f"CAST({side} AS TEXT)" for side in sides]
    return f"{sides[0]} = {sides[1]}"


def in_language_of(source: Source, sql: str) -> str:
    """Return a query in the language of the source's engine."""
    return sg.transpile(sql, read=WRITTEN, write=source.engine.connection.dialect)[0]


def base_of(guess: TableGuess) -> str:
    """Return what a further query of a guess reads: its table, or the query that makes it, SQL."""
    return f"({guess.view})" if guess.view is not None else table_named(guess.source)


def read_by(guess: TableGuess, source: Source, name: str, sql: str) -> None:
    """Let a guess be read by a query from now on, under a name that no table has."""
    guess.view = in_language_of(source, sql)
    if guess.made_from is None:
        guess.made_from = guess.source
        while name in source.tables:
            name += "_"
        guess.source = name
