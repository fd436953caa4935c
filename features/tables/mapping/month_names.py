"""Dates with the month in words, such as ``1 Feb 2024``, ``Feb 1st, 2024`` and ``01-FEB-24``.

A month in words leaves no doubt which number is the day. Its first letters tell it in English,
German, French, Spanish, Italian and Dutch.
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
