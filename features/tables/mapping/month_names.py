"""Months: in words, as in ``1 Feb 2024`` and ``01-FEB-24``, and alone, as in ``2024-03``; weeks.

A month in words leaves no doubt which number is the day. Its first letters tell it in English,
German, French, Spanish, Italian and Dutch. A month alone, where a time is wanted, is known when it
is over, so it is read as its last day; of what begins, as its first. So is a week, as in
``2024-W05``, whose Monday is the first.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

_MONTHS = {
    "01": ("jan", "ene", "gen"),
    "02": ("feb", "fev", "fév"),
    "03": ("mar", "mär", "mrz", "mrt", "maa"),
    "04": ("apr", "avr", "abr"),
    "05": ("may", "mai", "mei", "mag"),
    "06": ("jun", "juin", "giu"),
    "07": ("jul", "juil", "lug"),
    "08": ("aug", "aou", "aoû", "ago"),
    "09": ("sep", "set"),
    "10": ("oct", "okt", "ott"),
    "11": ("nov",),
    "12": ("dec", "dez", "déc", "dic"),
}
NUMBERS = {word: number for number, words in _MONTHS.items() for word in words}
MONTH = f"({'|'.join(sorted(NUMBERS, key=len, reverse=True))})[a-zäéû]*[.]?"
_WEEKDAY = "^([a-zäéû]{2,9}[.]?,? +)?"
_DAY = "([0-9]{1,2})(st|nd|rd|th|[.])?"
_YEAR = "([0-9]{4}|[0-9]{2})"
_END = "($|[^0-9])"
_BETWEEN = "[-/., ]+(de )?"
DAY_FIRST = f"{_WEEKDAY}{_DAY}{_BETWEEN}{MONTH}{_BETWEEN}{_YEAR}"
MONTH_FIRST = f"{_WEEKDAY}{MONTH}{_BETWEEN}{_DAY}{_BETWEEN}{_YEAR}"
_WHOLE_YEAR = "((?:19|20)[0-9]{2})"
_PART = "(0[1-9]|1[0-2])"
_YEAR_FIRST = f"^{_WHOLE_YEAR}[-/. ]?{_PART}$"
_YEAR_LAST = f"^(0?[1-9]|1[0-2])[-/.]{_WHOLE_YEAR}$"
_QUARTER_LAST = f"^{_WHOLE_YEAR}[-/ ]?q([1-4])$"
_QUARTER_FIRST = f"^q([1-4])[-/ ]?{_WHOLE_YEAR}$"
_WORD_FIRST = f"^{MONTH}[-/., ]+{_WHOLE_YEAR}$"
_WORD_LAST = f"^{_WHOLE_YEAR}[-/., ]+{MONTH}$"
_WEEK = "([0-4]?[0-9]|5[0-3])"
_WEEK_LAST = f"^{_WHOLE_YEAR}[-/ ]?k?w[- ]?{_WEEK}$"
_WEEK_FIRST = f"^k?w[- ]?{_WEEK}[-/ ]+{_WHOLE_YEAR}$"
IS_WEEK = f"{_WEEK_LAST}|{_WEEK_FIRST}"
_FORMS = (
    _WEEK_LAST,
    _WEEK_FIRST,
    _YEAR_FIRST,
    _YEAR_LAST,
    _QUARTER_LAST,
    _QUARTER_FIRST,
    _WORD_FIRST,
    _WORD_LAST,
)
IS_MONTH = "|".join(_FORMS)
"""What a text without blanks around it, in lower case, is that names a week, month or quarter."""
BEGINNINGS = ("started_at", "created_at")
"""Times of what begins: it is there from the first day of the month on."""


def is_named(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a text begins with a date whose month is a word."""
    bare = text.strip().lower()
    return bare.re_search(DAY_FIRST + _END) | bare.re_search(MONTH_FIRST + _END)


def is_named_short(text: ir.StringValue) -> ir.BooleanValue:
    """Whether such a date has a year of two digits."""
    year = _parts(text)[2]
    return is_named(text) & (year.length() == 2)


def with_numbers(text: ir.StringValue, century: int | None) -> ir.StringValue:
    """Write such a date as ``2024-02-01``, and leave what follows it and any other text.

    Parameters
    ----------
    text : ibis string
        What is written.
    century : int or None
        Of years with two digits, which stay as they are without one.
    """
    whole, day, year, month = _parts(text)
    if century is not None:
        year = ibis.ifelse(year.length() == 2, ibis.literal(str(century // 100)) + year, year)
    number = month.cases(*NUMBERS.items(), else_="")
    # The program that writes a zone's name in brackets has written its hours before.
    rest = text.strip().substr(whole.length()).re_replace(r" *[(][^)]*[)]$", "")
    rest = rest.re_replace("(GMT|UTC)([+-])", r"\2")
    written = year + ibis.literal("-") + number + ibis.literal("-") + day + rest
    return ibis.ifelse(is_named(text), written, text)


def _parts(text: ir.StringValue) -> tuple[ir.StringValue, ...]:
    """Take a date apart: all of it, its day, year and month as written."""
    bare = text.strip().lower()
    is_first = bare.re_search(DAY_FIRST + _END)

    def part(of_day_first: int, of_month_first: int) -> ir.StringValue:
        return ibis.ifelse(
            is_first,
            bare.re_extract(DAY_FIRST, of_day_first),
            bare.re_extract(MONTH_FIRST, of_month_first),
        )

    return part(0, 0), part(2, 4), part(7, 7), part(5, 2)


def is_month(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a text names a week, a month or a quarter, and no day of it."""
    return text.strip().lower().re_search(IS_MONTH)


def month_day(text: ir.StringValue, *, is_first: bool) -> ir.TimestampValue:
    """Return the first or the last day of a week, month or quarter; missing where it is none.

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
    is_week = bare.re_search(IS_WEEK)
    first = ibis.ifelse(is_week, _monday(bare), written.try_cast("timestamp"))
    if is_first:
        return first
    is_quarter = bare.re_search(f"{_QUARTER_LAST}|{_QUARTER_FIRST}")
    after = ibis.ifelse(
        is_quarter, first + ibis.interval(months=3), first + ibis.interval(months=1)
    )
    after = ibis.ifelse(is_week, first + ibis.interval(days=7), after)
    return after - ibis.interval(days=1)


def _monday(bare: ir.StringValue) -> ir.TimestampValue:
    """Return the Monday of a week: the fourth of January is always in the first."""
    year, week = (
        ibis.cases(
            (bare.re_search(_WEEK_LAST), bare.re_extract(_WEEK_LAST, part)),
            (bare.re_search(_WEEK_FIRST), bare.re_extract(_WEEK_FIRST, 3 - part)),
            else_=ibis.null("string"),
        )
        for part in (1, 2)
    )
    first = (year + ibis.literal("-01-04")).try_cast("timestamp").truncate("W")
    return first + (7 * (week.try_cast("int64") - 1)).as_interval("D")


_OF_QUARTERS = {"1": "01", "2": "04", "3": "07", "4": "10"}


def _first(year: ir.StringValue, month: ir.StringValue) -> ir.StringValue:
    return year + ibis.literal("-") + month + ibis.literal("-01")
