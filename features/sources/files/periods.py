"""Files that are called alike but for a month, day, quarter or year hold the parts of one table.

Exports that are saved again and again lie side by side, as ``accounts_2025-03.csv``. Together they
are a table of what their names have in common, in which each row says when its file's time was
over: nothing of it was known before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from features.sources.files.plain_forms import TextTable, text_table

KNOWN_FROM = "file_known_from"
"""The column that says from which day on a row of such a file is known."""
_WRITTEN = re.compile(r"snapshot|extract|export|as_?of", re.I)
"""Times at which a file was written; the last time of anything else may be long before that."""


def text_of_parts(
    connection: Backend, parts: Mapping[str, date], texts: Callable[[str], TextTable | None]
) -> TextTable | None:
    """Return the texts of a table in parts, None where one of them was not written as text."""
    found = [texts(name) for name in parts]
    written = [each for each in found if each is not None]
    if len(written) < len(found):
        return None
    days = [min(_told_until(each), day) for each, day in zip(written, parts.values(), strict=True)]
    days = [day if day > before else over for day, before, over in
            zip(days, [date.min, *parts.values()], parts.values(), strict=False)]  # fmt: skip
    queries = [connection.compile(each.texts) for each in written]
    notes = dict.fromkeys(note for each in written for note in each.notes)
    table = connection.table(_below_each_other(connection, queries, days))
    return TextTable(table, text_table(table).types, tuple(notes))


def _told_until(text: TextTable) -> date:
    """Return the day after a file was written, where a column says so."""
    written = [name for name, kind in text.types.items()
              if kind in ("date", "timestamp") and _WRITTEN.search(name)]  # fmt: skip
    if not written:
        return date.max
    typed = text.typed()
    last = typed.aggregate([typed[name].cast("timestamp").max().name(name) for name in written])
    known = [each for each in last.execute().iloc[0] if each == each]
    return max(known).date() + timedelta(days=1) if known else date.max


def table_of_parts(
    connection: Backend, parts: Mapping[str, date], read: Callable[[str], ir.Table]
) -> str:
    """Return the view of the rows of all parts, with every column that any of them has."""
    queries = [connection.compile(read(name)) for name in parts]
    return _below_each_other(connection, queries, list(parts.values()))


def _below_each_other(connection: Backend, queries: Sequence[str], days: Sequence[date]) -> str:
    view: str = gen_name("parts")
    rows = " UNION ALL BY NAME ".join(
        f"SELECT *, '{day.isoformat()}' AS {KNOWN_FROM} FROM ({query})"
        for query, day in zip(queries, days, strict=True)
    )
    connection.con.execute(f'CREATE TEMP VIEW "{view}" AS {rows}')
    return view
