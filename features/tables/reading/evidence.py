"""What the values of columns show of how they are written: counts and examples, in one scan."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from features.sources.files.plain_forms import without_none
from features.tables.mapping.contract import Column
from features.tables.mapping.mapped import MappedTable
from features.tables.mapping.month_names import is_month, is_named, is_named_short
from features.tables.mapping.written import (
    COMPACT,
    COMPACT_TIME,
    NO_DAY,
    OTHER_TIME,
    PARTS,
    PLAIN_TIME,
    REST,
    bare_number,
    currency_sign,
    written_number,
)

Counts = Mapping[str, float | str | None]
"""What a query counted, and examples of what it counted."""
_DIGITS = r"^[0-9]+([.][0-9]+)?$"
_COMMA = (
    r"^[+-]?([0-9]{1,3}([.][0-9]{3})+,[0-9]+|[0-9]*,([0-9]{1,2}|[0-9]{4,})"
    r"|(0|[0-9]{4,}),[0-9]+|[0-9]{1,3}([.][0-9]{3}){2,})$"
)
_POINT = (
    r"^[+-]?([0-9]{1,3}(,[0-9]{3})+[.][0-9]+|[0-9]*[.]([0-9]{1,2}|[0-9]{4,})"
    r"|(0|[0-9]{4,})[.][0-9]+|[0-9]{1,3}(,[0-9]{3}){2,}|[0-9]+[.][0-9]+[eE][+-]?[0-9]+)$"
)
_OPEN_COMMA = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
_OPEN_POINT = r"^[+-]?[1-9][0-9]{0,2}[.][0-9]{3}$"
EXCEL_DAYS = (20_000.0, 80_000.0)
"""Serial days of the years 1954 to 2119."""
UNIX_SECONDS = (3e8, 4.2e9)
"""Seconds since 1970 of the years 1979 to 2103."""


def evidence(table: MappedTable) -> dict[str, dict[str, float | str | None]]:
    """Count, in one scan, what the values of each column show.

    Texts, and what is asked of each, are columns of their own: written out wherever they are
    counted, they would take longer to plan than the scan takes.

    Parameters
    ----------
    table : MappedTable
        The table whose texts, and numbers where times are wanted, are looked at.

    Returns
    -------
    dict of str to dict
        Per column, counts and examples.
    """
    columns = [column for column in table.columns() if _may_show(table.raw[column.name], column)]
    if not columns:
        return {}
    numbered = {str(place): column for place, column in enumerate(columns)}
    texts = table.raw.select(
        **{key: _bare(table.raw[column.name], column) for key, column in numbered.items()}
    )
    asked = {key: _asked(texts[key], column) for key, column in numbered.items()}
    rows = texts.select(
        **{f"{key} {what}": value for key, each in asked.items() for what, value in each.items()}
    )
    measures = {
        f"{key} {what}": measure
        for key, each in asked.items()
        for what, measure in _measures({what: rows[f"{key} {what}"] for what in each}).items()
    }
    shown: dict[str, dict[str, float | str | None]] = {}
    for key, value in rows.aggregate(**measures).execute().iloc[0].to_dict().items():
        place, _, what = key.partition(" ")
        shown.setdefault(numbered[place].name, {})[what] = value
    return shown


def _may_show(value: ir.Value, column: Column) -> bool:
    kind = value.type()
    if column.kind == "time" and kind.is_numeric() and not kind.is_boolean():
        return True
    return kind.is_string() and column.kind in ("time", "number")


def _bare(value: ir.Value, column: Column) -> ir.Value:
    if not value.type().is_string():
        return value
    return without_none(value, may_be_open=column.may_never_come).strip()


def _asked(value: ir.Value, column: Column) -> dict[str, ir.Value]:
    """Ask of each value what it shows."""
    if not value.type().is_string():
        digits = value.cast("int64").cast("string")
        return {
            "text": digits,
            "compact": digits.re_search(f"{COMPACT}|{COMPACT_TIME}") | is_month(digits),
            "months": is_month(digits),
            "no_days": digits.re_search(NO_DAY),
            "numbers": value.notnull(),
            "value": value,
            "size": value.cast("float64"),
        }
    if column.kind == "number":
        text = bare_number(value)
        open_comma, open_point = text.re_search(_OPEN_COMMA), text.re_search(_OPEN_POINT)
        return {
            "text": text,
            "comma": text.re_search(_COMMA),
            "point": text.re_search(_POINT),
            "open_comma": open_comma,
            "open_point": open_point,
            "open": open_comma | open_point,
            "other": text.notnull() & written_number(value).isnull(),
            "sign": currency_sign(value),
        }
    parted = value.re_search(PARTS + REST)
    above_12 = "(1[3-9]|[2-9][0-9])"
    short = parted & value.re_search("^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2}($|[^0-9])")
    is_compact = value.re_search(f"{COMPACT}|{COMPACT_TIME}") | is_month(value)
    number = value.re_search(_DIGITS) & ~is_compact
    return {
        "text": value,
        "parted": parted,
        "first": parted & value.re_search(f"^{above_12}[-/.]"),
        "second": parted & value.re_search(f"^[0-9]{{1,2}}[-/.]{above_12}[-/.]"),
        "pointed": parted & value.re_search("^[0-9]{1,2}[.]"),
        "first_ones": parted & value.re_search("^0?1[-/.]"),
        "second_ones": parted & value.re_search("^[0-9]{1,2}[-/.]0?1[-/.]"),
        "year": ibis.ifelse(parted, value.re_extract("([0-9]{4})", 1), ibis.null("string")),
        "other": value.re_search(OTHER_TIME) & ~value.re_search(PLAIN_TIME),
        "named": is_named(value),
        "short": short | is_named_short(value),
        "months": is_month(value),
        "numbers": number,
        "size": ibis.ifelse(number, value, ibis.null("string")).try_cast("float64"),
    }


_EXAMPLES = {
    "parted": "example",
    "open": "example",
    "named": "named_example",
    "short": "short_example",
    "months": "month_example",
    "numbers": "number_example",
}


def _measures(asked: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """Count what values show, with an example of each."""
    text = asked["text"]
    measures = {what: shown.sum() for what, shown in asked.items() if shown.type().is_boolean()}
    measures |= {
        example: text.max(where=asked[what]) for what, example in _EXAMPLES.items() if what in asked
    }
    if "value" in asked:
        measures["number_example"] = asked["value"].max().cast("string")
    if "year" in asked:
        measures |= {"year_first": asked["year"].min(), "year_last": asked["year"].max()}
    if "sign" in asked:
        return measures | {"sign_first": asked["sign"].min(), "sign_last": asked["sign"].max()}
    number = asked["size"]
    unix = ibis.or_(*(number.between(*_scaled(scale)) for scale in (1.0, 1e3, 1e6, 1e9)))
    excel = number.between(*EXCEL_DAYS)
    return measures | {"present": text.count(), "unix": unix.sum(), "excel": excel.sum()}


def _scaled(scale: float) -> tuple[float, float]:
    return UNIX_SECONDS[0] * scale, UNIX_SECONDS[1] * scale
