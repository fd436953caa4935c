"""Tables whose values a loader wrote as one JSON text a row: each of its fields is a column."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from features.errors import DataError, first_line, sample
from features.sources.files.delimited import refuse_growing
from features.sources.files.plain_forms import TextTable, text_table

OF_A_FILE = "_json_object"
HOLDERS = ("_airbyte_data", OF_A_FILE)
"""Columns that hold all values of a row, as JSON."""
MOST_ROWS = 10_000
"""The fields of these rows are the columns."""


@ibis.udf.scalar.builtin(name="json_keys")  # type: ignore[untyped-decorator]
def _json_keys(value: str) -> list[str]:  # type: ignore[empty-body]
    """Return the names of an object's fields."""


@ibis.udf.scalar.builtin(name="json_extract_string")  # type: ignore[untyped-decorator]
def _json_text(value: str, path: str) -> str:  # type: ignore[empty-body]
    """Return a field as text, an object in it as JSON."""


@ibis.udf.scalar.builtin(name="json_valid")  # type: ignore[untyped-decorator]
def _is_json(value: str) -> bool:  # type: ignore[empty-body]
    """Whether a text is JSON."""


def read_json_file(connection: Backend, file: Path) -> ir.Table:
    """Read a file of objects in JSON, a row each, as one column of texts.

    Raises
    ------
    DataError
        When it is no JSON.
    """
    view, before = gen_name("json"), file.stat().st_size
    path = glob.escape(str(file)).replace("'", "''")
    try:
        connection.con.execute(
            f'CREATE TEMP TABLE "{view}" AS SELECT json::VARCHAR AS {OF_A_FILE}'
            f" FROM read_json_objects('{path}', format = 'auto')"
        )
    except duckdb.Error as error:
        refuse_growing(file, before)
        raise DataError(
            f"The file '{file}' cannot be read as JSON, an object a line: {first_line(error)};"
            " repair it or take it out of the folder"
        ) from error
    return connection.table(view)


def json_columns(
    tables: Mapping[str, ir.Table], keep: Callable[[str, ir.Table], ir.Table]
) -> Callable[[str], TextTable | None]:
    """Return what reads a table's fields as columns beside its own; None for a table without them.

    Parameters
    ----------
    tables : mapping of str to ibis table
        Of the embedded engine.
    keep : callable
        Computes a step once.

    Raises
    ------
    DataError
        When a row of such a table, once it is read, is no JSON.
    """

    @cache
    def unpacked(name: str) -> TextTable | None:
        table = tables[name]
        holder = next((each for each in table.columns if each.lower() in HOLDERS), None)
        if holder is None:
            return None
        written = table[holder].cast("string")
        _refuse_broken(name, holder, table.select(v=written))
        names = _fields(table.select(v=written))
        if not names:
            return None
        fields = [_json_text(written, '$."' + field.replace('"', '""') + '"').name(field)
                  for field in names]  # fmt: skip
        taken = {field.casefold() for field in names}
        beside = [table[each].cast("string") for each in table.columns
                  if each.casefold() not in taken]  # fmt: skip
        return text_table(keep(f"fields_of_{name}", table.select(*fields, *beside)))

    return unpacked


def _refuse_broken(name: str, holder: str, texts: ir.Table) -> None:
    broken = texts.filter(~_is_json(texts.v).fill_null(True))
    facts = broken.aggregate(n=broken.count(), example=broken.v.min()).execute().iloc[0]
    if int(facts["n"]):
        raise DataError(
            f"Table '{name}' keeps its values as JSON in '{holder}', and {int(facts['n']):,} rows,"
            f" such as {sample([facts['example']])}, are none; mend them or take them out"
        )


def _fields(texts: ir.Table) -> list[str]:
    """List the fields of the first rows, those of most rows first; of equal names one."""
    some = texts.filter(texts.v.notnull()).limit(MOST_ROWS)
    each = some.select(field=_json_keys(some.v).unnest()).group_by("field")
    counted = each.aggregate(n=lambda t: t.count())
    listed = counted.order_by(counted.n.desc(), counted.field).execute()["field"].tolist()
    return list({str(field).casefold(): str(field) for field in reversed(listed)}.values())[::-1]
