"""Values as vendors write them: texts, flags, numbers, times, JSON and lengths of intervals."""

from __future__ import annotations

import re

import ibis
import ibis.expr.types as ir

from features.sources.files.plain_forms import without_missing_words
from features.tables.mapping.written import FALSE_WORDS, TRUE_WORDS, written_number, written_time

WHOLE_UNITS = (
    *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"),
    *("pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"),
)
"""Currencies whose smallest unit is the whole one."""
_MONTHS = {"year": 12.0, "annual": 12.0, "yearly": 12.0, "quarter": 3.0, "month": 1.0}
_MONTHS |= {"monthly": 1.0, "years": 12.0, "months": 1.0, "week": 12 / 52, "weeks": 12 / 52}
_MONTHS |= {"day": 12 / 365, "days": 12 / 365}


def text_of(value: ir.Value) -> ir.StringValue:
    """Return ids and words as text; a whole number that became 7.0 is 7."""
    if value.type().is_floating():
        whole = value.try_cast("int64")
        return ibis.ifelse(whole == value, whole.cast("string"), value.cast("string"))
    return without_missing_words(value.cast("string"))


def words_of(value: ir.Value) -> ir.StringValue:
    """Return a text without case and the blanks around it."""
    return text_of(value).strip().lower()


def flag(value: ir.Value) -> ir.BooleanValue:
    """Return true or false, whether written so, as a word or as 1 and 0."""
    if value.type().is_boolean():
        return value
    words = words_of(value)
    known = words.isin([*TRUE_WORDS, *FALSE_WORDS])
    return ibis.ifelse(known, words.isin(TRUE_WORDS), ibis.null("boolean"))


def number(value: ir.Value) -> ir.Value:
    """Return a number, written as text or not; times and numbers stay as they are."""
    kind = value.type()
    if kind.is_string():
        return written_number(value)
    return value.cast("float64") if kind.is_integer() or kind.is_boolean() else value


def time(value: ir.Value) -> ir.TimestampValue:
    """Return a moment, from a time, a text, or a number since 1970 told by its size.

    Seconds until the year 5138 lie below 1e11, and milliseconds below 1e14.
    """
    kind = value.type()
    if kind.is_null():
        return ibis.null("timestamp")
    if kind.is_string():
        return written_time(value)
    if not kind.is_numeric():
        return value.cast("timestamp")
    seconds = value.cast("float64")
    fitted = ibis.cases((seconds.abs() < 1e11, seconds), (seconds.abs() < 1e14, seconds / 1e3))
    fitted = fitted.fill_null(seconds / 1e6)
    whole = (fitted * 1000).round().cast("int64")
    return ibis.timestamp("1970-01-01") + whole.as_interval("ms")


def json_field(value: ir.Value, *names: str) -> ir.StringValue:
    """Return a field of an object written as JSON: the first of the names that occurs in it.

    A search in the text, so that every engine agrees and broken JSON stops nothing.
    """
    listed = "|".join(re.escape(name) for name in names)
    shape = rf'"({listed})"\s*:\s*("[^"]*"|[^",}}\]\s]+)'
    inner = text_of(value).re_extract(shape, 2).re_replace('^"|"$', "")
    return ibis.ifelse(inner.isin(["", "null"]), ibis.null("string"), inner)


def months(interval: ir.Value, count: ir.Value | None = None) -> ir.FloatingValue:
    """Return how many months an interval is long, one where it is not known."""
    words = words_of(interval)
    single = words.cases(*_MONTHS.items(), else_=1.0)
    return single if count is None else single * number(count).cast("float64").fill_null(1.0)
