"""What values show of a column, where its name says nothing: keys, times, and texts that are read.

A key is unique in one table and its values are found in others; a row's own time is complete; an
end is a time that some rows lack and that never lies before the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.errors import sample
from features.sources.files.plain_forms import without_none
from features.tables.mapping.contract import Column
from features.tables.mapping.month_names import is_month, is_named
from features.tables.mapping.written import (
    COMPACT,
    COMPACT_TIME,
    OTHER_TIME,
    PARTS,
    REST,
    bare_number,
    written_number,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

MOST_LOOKED_AT = 1000
MOST_COLUMNS = 300
"""Of a wider table, whole numbers are times only where their column is called so."""
READABLE = 0.9
INCLUDED = 0.5
_NUMBER_AS_TIME = r"^[0-9]{5}([.][0-9]+)?$|^1[0-9]{9}$|^1[0-9]{12}$|^1[0-9]{15}$"
_ANY_NUMBER = r"^[-+]?[0-9][0-9.,]*$"


def can_be(table: ir.Table, origin: str, column: Column) -> bool:
    """Whether a source column's type, or its first texts, can be what the contract wants."""
    kind = table[origin].type()
    if column.kind == "time":
        if kind.is_timestamp() or kind.is_date():
            return True
        return bool(kind.is_string()) and _mostly(
            table, origin, _reads_as_time, column.may_never_come
        )
    if column.kind == "number":
        if kind.is_numeric() and not kind.is_boolean():
            return True
        return bool(kind.is_string()) and _mostly(table, origin, _reads_as_number)
    if column.kind == "flag":
        return bool(kind.is_boolean() or kind.is_integer() or kind.is_string())
    return not kind.is_timestamp() and not (kind.is_date() and column.kind != "id")


def why_not(table: ir.Table, origin: str, column: Column) -> str:
    """Say why a column of a known name was not taken."""
    wanted = {"time": "times", "number": "numbers", "flag": "yes or no"}.get(column.kind, "texts")
    values = table[origin].cast("string")
    some = table.select(v=values).filter(lambda t: t.v.notnull()).order_by("v").limit(1)
    example = some.execute()["v"].tolist()
    return (
        f"column {sample([origin])} is there for {column.name}, and its values, such as"
        f" {sample(example)}, cannot be read as {wanted}"
    )


def is_number_for_time(table: ir.Table, origin: str) -> str | None:
    """Return what numbers under the name of a time are: ``unix``, ``excel`` or ``compact``."""
    if not table[origin].type().is_numeric() or table[origin].type().is_boolean():
        return None
    text = table[origin].cast("int64").cast("string")
    facts = table.aggregate(
        all=table[origin].count(),
        read=text.re_search(_NUMBER_AS_TIME).sum(),
        compact=(text.re_search(f"{COMPACT}|{COMPACT_TIME}") | is_month(text)).sum(),
        top=table[origin].max(),
    ).execute()
    row = facts.iloc[0]
    if row["all"] and row["compact"] == row["all"]:
        return "compact"
    if not row["all"] or row["read"] < READABLE * row["all"]:
        return None
    return "excel" if float(row["top"]) < 1e6 else "unix"


def is_compact_day(table: ir.Table, origin: str) -> bool:
    """Whether whole numbers are days written as 20241231, or months as 202412."""
    if not table[origin].type().is_integer() or len(table.columns) > MOST_COLUMNS:
        return False
    some = table.select(v=table[origin].cast("string")).filter(lambda t: t.v.notnull())
    facts = some.limit(MOST_LOOKED_AT)
    facts = facts.aggregate(
        all=facts.count(), read=(facts.v.re_search(COMPACT) | is_month(facts.v)).sum()
    ).execute()
    row = facts.iloc[0]
    return bool(row["all"]) and int(row["read"]) == int(row["all"])


def is_key(table: ir.Table, origin: str) -> bool:
    """Whether a column names each row: never missing, never twice."""
    value = table[origin]
    row = table.aggregate(rows=table.count(), n=value.nunique(), present=value.count()).execute()
    rows = int(row["rows"].iloc[0])
    return rows > 0 and rows == int(row["n"].iloc[0]) == int(row["present"].iloc[0])


def _mostly(table: ir.Table, origin: str, reads: object, may_be_open: bool = False) -> bool:
    text = without_none(table[origin], may_be_open=may_be_open)
    texts = table.select(v=text).filter(lambda t: t.v.notnull()).limit(MOST_LOOKED_AT)
    facts = texts.aggregate(all=texts.count(), read=reads(texts.v.strip()).sum())  # type: ignore[operator]
    row = facts.execute().iloc[0]
    # A column without any value contradicts nothing: nobody may have left yet.
    return int(row["read"] or 0) >= READABLE * int(row["all"])


def _reads_as_time(text: ir.StringValue) -> ir.BooleanValue:
    plain = text.try_cast("timestamp('UTC')").notnull() & text.re_search("^[0-9]{4}-")
    other = text.re_search(OTHER_TIME) | text.re_search(PARTS + REST)
    return plain | other | is_named(text) | is_month(text)


def _reads_as_number(text: ir.StringValue) -> ir.BooleanValue:
    return written_number(text).notnull() | bare_number(text).re_search(_ANY_NUMBER)
