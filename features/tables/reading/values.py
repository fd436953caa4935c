"""Times and numbers of any type, in the form that was decided for their column."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.tables.mapping.month_names import month_day
from features.tables.mapping.written import written_number, written_time
from features.tables.reading.evidence import EXCEL_DAYS, UNIX_SECONDS
from features.tables.reading.forms import Form

_MICROSECONDS = ((1.0, 1e6), (1e3, 1e3), (1e6, 1.0), (1e9, 1e-3))
"""Units of a second in which times since 1970 are counted, and what makes them microseconds."""


def read_time(raw: ir.Value, form: Form) -> ir.TimestampValue | None:
    """Read a column as times, in UTC; None where its type cannot hold any."""
    kind = raw.type()
    if kind.is_timestamp() or kind.is_date():
        return raw.cast("timestamp")
    if kind.is_string():
        text = written_time(
            raw,
            is_plain=form.is_plain,
            is_day_first=form.is_day_first,
            century=form.century,
            is_named=form.is_named,
        )
        if form.months is not None:
            text = text.fill_null(month_day(raw, is_first=form.months == "first"))
        if form.number_is in (None, "compact"):
            return text
        return text.fill_null(_numbered(raw.try_cast("float64"), form.number_is))
    if not kind.is_numeric() or kind.is_boolean() or form.number_is is None:
        return None
    if form.number_is == "compact":
        digits = raw.cast("int64").cast("string")
        read = written_time(digits, is_plain=False)
        if form.months is None:
            return read
        return read.fill_null(month_day(digits, is_first=form.months == "first"))
    return _numbered(raw.cast("float64"), form.number_is)


def read_number(raw: ir.Value, form: Form) -> ir.FloatingValue:
    """Read a column as numbers, in its form."""
    if not raw.type().is_string():
        return raw.cast("float64")
    return written_number(raw, form.decimal, is_plain=form.is_plain)


def _numbered(number: ir.FloatingValue, number_is: str) -> ir.TimestampValue:
    """Read seconds since 1970, or finer, or the days of a spreadsheet since 30 December 1899."""
    if number_is == "excel":
        days = number.between(*EXCEL_DAYS).ifelse(number, None) - 25_569.0
        micros = (days * 86_400.0).round() * 1e6
    else:
        low, high = UNIX_SECONDS
        micros = ibis.cases(
            *(
                (number.between(low * scale, high * scale), number * factor)
                for scale, factor in _MICROSECONDS
            ),
            else_=ibis.null("float64"),
        )
    whole = micros.round().cast("int64")
    return ibis.timestamp("1970-01-01 00:00:00") + whole.as_interval("us")
