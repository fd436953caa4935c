"""Months and quarters that stand where a time is wanted: ``2024-03``, ``Mar 2024``, ``2024Q1``.

A month is known when it is over, so it is read as its last day; of what begins, as its first.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.tables.mapping.month_names import MONTH, NUMBERS

_YEAR = "((?:19|20)[0-9]{2})"
_PART = "(0[1-9]|1[0-2])"
_YEAR_FIRST = f"^{_YEAR}[-/. ]?{_PART}$"
_YEAR_LAST = f"^(0?[1-9]|1[0-2])[-/.]{_YEAR}$"
_QUARTER_LAST = f"^{_YEAR}[-/ ]?q([1-4])$"
_QUARTER_FIRST = f"^q([1-4])[-/ ]?{_YEAR}$"
_WORD_FIRST = f"^{MONTH}[-/., ]+{_YEAR}$"
_WORD_LAST = f"^{_YEAR}[-/., ]+{MONTH}$"
_FORMS = (_YEAR_FIRST, _YEAR_LAST, _QUARTER_LAST, _QUARTER_FIRST, _WORD_FIRST, _WORD_LAST)
IS_MONTH = "|".join(_FORMS)
"""What a text without blanks around it, in lower case, is that names a month or a quarter."""
BEGINNINGS = ("started_at", "created_at")
"""Times of what begins: it is there from the first day of the month on."""


def is_month(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a text names a month or a quarter, and no day of it."""
    return text.strip().lower().re_search(IS_MONTH)


def month_day(text: ir.StringValue, *, is_first: bool) -> ir.TimestampValue:
    """Return the first or the last day of a month or a quarter; missing where it is none.

    Parameters
    ----------
    text : ibis string
        What is written.
    is_first : bool
        Whether it is the first day.
    """
    bare = text.strip().lower()
    quarters = (_QUARTER_LAST, 1, 2), (_QUARTER_FIRST, 2, 1)
    months = (_YEAR_FIRST, 1, 2), (_YEAR_LAST, 2, 1)
    words = (_WORD_FIRST, 2, 1), (_WORD_LAST, 1, 2)
    written = ibis.cases(
        *((bare.re_search(form), _first(bare.re_extract(form, year), bare.re_extract(form, part).
           cases(*_OF_QUARTERS.items(), else_="01"))) for form, year, part in quarters),
        *((bare.re_search(form), _first(bare.re_extract(form, year), bare.re_extract(form, part)
           .lpad(2, "0"))) for form, year, part in months),
        *((bare.re_search(form), _first(bare.re_extract(form, year), bare.re_extract(form, part)
           .cases(*NUMBERS.items(), else_="01"))) for form, year, part in words),
        else_=ibis.null("string"),
    )  # fmt: skip
    first = written.try_cast("timestamp")
    if is_first:
        return first
    is_quarter = bare.re_search(f"{_QUARTER_LAST}|{_QUARTER_FIRST}")
    after = ibis.ifelse(
        is_quarter, first + ibis.interval(months=3), first + ibis.interval(months=1)
    )
    return after - ibis.interval(days=1)


_OF_QUARTERS = {"1": "01", "2": "04", "3": "07", "4": "10"}


def _first(year: ir.StringValue, month: ir.StringValue) -> ir.StringValue:
    return year + ibis.literal("-") + month + ibis.literal("-01")
