"""Tables whose values a loader wrote as one JSON text a row: each of its fields is a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache

import ibis
import ibis.expr.types as ir

from features.errors import DataError, sample
from features.sources.files.plain_forms import TextTable, text_table

OF_A_FILE = "_json_object"
HOLDERS = ("_airbyte_data", OF_A_FILE)
"""Columns that hold all values of a row, as JSON."""
MOST_ROWS = 10_000
"""The fields of these rows are the columns."""
DEEPEST, MOST_OBJECTS, MOST_INNER = 3, 100, 200
"""How far fields of objects in a row are columns too, of how many objects, and how many of each."""
Path = tuple[str, ...]


@ibis.udf.scalar.builtin(name="json_keys")  # type: ignore[untyped-decorator]
def _json_keys(value: str) -> list[str]:  # type: ignore[empty-body]
    """Return the names of an object's fields."""


@ibis.udf.scalar.builtin(name="json_extract_string")  # type: ignore[untyped-decorator]
def _json_text(value: str, path: str) -> str:  # type: ignore[empty-body]
    """Return a field as text, an object in it as JSON."""


@ibis.udf.scalar.builtin(name="json_extract")  # type: ignore[untyped-decorator]
def _json_part(value: str, path: str) -> str:  # type: ignore[empty-body]
    """Return a field as JSON."""


@ibis.udf.scalar.builtin(name="json_type")  # type: ignore[untyped-decorator]
def _json_kind(value: str, path: str) -> str:  # type: ignore[empty-body]
    """Return what a field is."""


@ibis.udf.scalar.builtin(name="json_valid")  # type: ignore[untyped-decorator]
def _is_json(value: str) -> bool:  # type: ignore[empty-body]
    """Whether a text is JSON."""


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
        inner = _inner_fields(table.select(v=written), names) if holder == OF_A_FILE else {}
        paths = {**{field: (field,) for field in names}, **inner}
        fields = [_json_text(written, _written(path)).name(name) for name, path in paths.items()]
        taken = {name.casefold() for name in paths}
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


def _written(path: Path) -> str:
    """Write where a field is as a JSON pointer (RFC 6901), in which any name can stand."""
    return "".join("/" + field.replace("~", "~0").replace("/", "~1") for field in path)


def _inner_fields(texts: ir.Table, outer: list[str]) -> dict[str, Path]:
    """List the fields of objects in a row by the names of their columns, and where each is.

    A field is called by its own name, and by those of what it is in too where others are called so.
    """
    found: list[Path] = []
    level: list[Path] = [(field,) for field in outer]
    for _ in range(DEEPEST - 1):
        level = [
            (*path, field)
            for path in _objects(texts, level[:MOST_INNER])[:MOST_OBJECTS]
            for field in _fields(texts, path)[:MOST_INNER]
        ]
        found += level
    names = Counter(path[-1].casefold() for path in found)
    taken = {field.casefold() for field in outer}
    named: dict[str, Path] = {}
    for path in found:
        own = path[-1].casefold()
        name = path[-1] if names[own] == 1 and own not in taken else "_".join(path)
        if name.casefold() not in taken:
            taken.add(name.casefold())
            named[name] = path
    return named


def _objects(texts: ir.Table, paths: list[Path]) -> list[Path]:
    """List the fields that are objects in some of the first rows."""
    if not paths:
        return []
    some = texts.filter(texts.v.notnull()).limit(MOST_ROWS)
    facts = some.aggregate(
        **{f"c{n}": (_json_kind(some.v, _written(path)) == "OBJECT").any()
           for n, path in enumerate(paths)}
    ).execute()  # fmt: skip
    return [path for n, path in enumerate(paths) if facts[f"c{n}"].iloc[0] == True]  # noqa: E712


def _fields(texts: ir.Table, path: Path = ()) -> list[str]:
    """List the fields of the first rows, those of most rows first; of equal names one."""
    some = texts.filter(texts.v.notnull()).limit(MOST_ROWS)
    value = _json_part(some.v, _written(path)) if path else some.v
    each = some.select(field=_json_keys(value).unnest())
    # A column must be called something.
    each = each.filter(each.field != "").group_by("field")
    counted = each.aggregate(n=lambda t: t.count())
    listed = counted.order_by(counted.n.desc(), counted.field).execute()["field"].tolist()
    return list({str(field).casefold(): str(field) for field in reversed(listed)}.values())[::-1]
