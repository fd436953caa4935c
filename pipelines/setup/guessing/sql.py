"""Pieces of the queries that a draft writes: names and texts in quotes, keys that are compared."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import sqlglot as sg
import sqlglot.expressions as sge

from pipelines.setup.guessing.evidence import is_number_for_time

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

WRITTEN = "duckdb"
"""The language that pieces are written in, before they are turned into the engine's own."""
_FORMATS = {
    r"\d{4}-\d{2}-\d{2}": "%Y-%m-%d",
    r"\d{4}/\d{2}/\d{2}": "%Y/%m/%d",
    r"\d{1,2}\.\d{1,2}\.\d{4}": "%d.%m.%Y",
}
_SLASHES, MONTHS_OF_YEAR = r"(\d{1,2})/(\d{1,2})/\d{4}", 12


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


def day_of(table: ir.Table, start: str, source: Source) -> str | None:
    """Return a time as a day, SQL; None where it is written in a way that may be two."""
    kind = table[start].type()
    if kind.is_timestamp() or kind.is_date():
        return f"CAST(s.{named(start)} AS DATE)"
    if source.engine.connection.dialect != "duckdb":
        return None
    if kind.is_integer() and is_number_for_time(table, start) == "compact":
        written = f"CAST(CAST(s.{named(start)} AS BIGINT) AS TEXT)"
        return f"CAST(TRY_STRPTIME({written}, '%Y%m%d') AS DATE)"
    if not kind.is_string():
        return None
    text = table[start].strip()
    rows = table.select(v=text).filter(lambda t: t.v.notnull() & (t.v != ""))
    forms = _FORMATS | _slashes(rows.v, rows)
    for pattern, form in forms.items():
        facts = rows.aggregate(all=rows.count(), so=rows.v.re_search(f"^{pattern}").sum()).execute()
        if 0 < int(facts["all"].iloc[0]) == int(facts["so"].iloc[0] or 0):
            day = f"REGEXP_EXTRACT(TRIM(s.{named(start)}), {literal(f'^{pattern}')})"
            return f"CAST(TRY_STRPTIME({day}, {literal(form)}) AS DATE)"
    return None


def _slashes(text: ir.StringValue, rows: ir.Table) -> dict[str, str]:
    """Return how days between slashes are written, where one beyond the twelfth tells it."""
    parts = [text.re_extract(_SLASHES, place).try_cast("int64") for place in (1, 2)]
    facts = rows.aggregate(first=parts[0].max(), second=parts[1].max()).execute().iloc[0]
    first, second = (int(each) for each in facts.fillna(0))
    if max(first, second) <= MONTHS_OF_YEAR or min(first, second) > MONTHS_OF_YEAR:
        return {}
    return {_SLASHES: "%d/%m/%Y" if first > second else "%m/%d/%Y"}
