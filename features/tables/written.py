"""Numbers and times written as text, read alike on every engine.

What an engine's own cast accepts differs: ``1.5f`` is a number to Spark, ``0x1A`` to PostgreSQL and
``1_000`` to DuckDB. Only what all of them read as one and the same value is let through to it.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.sources.files.plain_forms import without_missing_words

_NUMBER = (
    r"^([+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,4})?"
    r"|[+-]?([iI][nN][fF]|[iI][nN][fF][iI][nN][iI][tT][yY])|[nN][aA][nN])$"
)
_WITH_COMMAS = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+([.][0-9]*)?$"
_WITH_POINTS = r"^[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+)(,[0-9]+)?$"
# Signs of currencies, and the blanks and apostrophes that some put between thousands.
_BESIDE_NUMBERS = "$€£¥\u00a0\u202f '’"
_CLOCK = r"([01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,9})?)?"
_HALF = r"(?: ?([AaPp])[.]?[Mm][.]?)?"
_ZONE = r" ?(Z|UTC|GMT|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?"
_YEAR_FIRST = r"^([0-9]{4})([-/])([0-9]{1,2})[-/]([0-9]{1,2})"
PARTS = r"^([0-9]{1,2})([-/.])([0-9]{1,2})[-/.]([0-9]{4}|[0-9]{2})"
REST = rf"(?:,?[ T]({_CLOCK}){_HALF}{_ZONE})?$"
COMPACT = r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$"


def written_number(text: ir.StringValue, decimal: str = ".") -> ir.FloatingValue:
    """Read a number such as ``-1.5e3``, ``1,250.00``, ``inf`` or ``NaN``; else it is missing.

    Parameters
    ----------
    text : ibis string
        What is written; the sign of a currency may stand beside it.
    decimal : {".", ","}
        What parts the whole from its fraction; the other one may part thousands.
    """
    bare = without_missing_words(text).strip()
    for mark in _BESIDE_NUMBERS:
        bare = bare.replace(mark, "")
    if decimal == ",":
        plain = _matching(bare, _WITH_POINTS).replace(".", "").replace(",", ".")
        return plain.try_cast("float64")
    without_commas = ibis.ifelse(bare.re_search(_WITH_COMMAS), bare.replace(",", ""), bare)
    return _matching(without_commas, _NUMBER).try_cast("float64")


def written_time(
    text: ir.StringValue, *, is_day_first: bool | None = None, century: int | None = None
) -> ir.TimestampValue:
    """Read a date, with a time of day and a zone if they are there, in UTC.

    The form is that of ISO 8601, ``2024-02-20T10:30:00.5+02:00``; a blank may stand for the T, a
    slash for the hyphens, and 10:30 PM for 22:30. Anything else is missing, a date that never was
    included.

    Parameters
    ----------
    text : ibis string
        What is written.
    is_day_first : bool, optional
        Read ``1/2/2024`` too, as 1 February or as January 2nd.
    century : int, optional
        Read years of two digits too, within this century (such as 2000).
    """
    bare = without_missing_words(text).strip()
    iso = _YEAR_FIRST + REST
    compact = bare.substr(0, 4) + "-" + bare.substr(4, 2) + "-" + bare.substr(6, 2)
    moment = ibis.cases(
        (bare.re_search(iso), _composed(bare, iso, (1, 3, 4))),
        (bare.re_search(COMPACT), compact),
        else_=ibis.null("string"),
    )
    if is_day_first is not None:
        parts = PARTS + REST
        if century is None:
            parts = parts.replace("[0-9]{4}|[0-9]{2}", "[0-9]{4}")
        order = (4, 3, 1) if is_day_first else (4, 1, 3)
        written = _composed(bare, parts, order, century)
        moment = ibis.ifelse(bare.re_search(parts), written, moment)
    return moment.try_cast("timestamp('UTC')").cast("timestamp")


def _composed(
    bare: ir.StringValue, pattern: str, order: tuple[int, int, int], century: int | None = None
) -> ir.StringValue:
    """Put the parts of a time together as every engine reads them."""
    year, month, day = (bare.re_extract(pattern, place) for place in order)
    if century is not None:
        year = ibis.ifelse(year.length() == 2, ibis.literal(str(century // 100)) + year, year)
    clock = bare.re_extract(pattern, 5)
    hour = clock.re_extract(r"^([0-9]+):", 1)
    half = bare.re_extract(pattern, 7).lower()
    of_twelve = hour.try_cast("int64") % 12 + ibis.ifelse(half == "p", 12, 0)
    clock = ibis.ifelse(
        half == "", clock, of_twelve.cast("string") + clock.re_extract(r"^[0-9]+(:.*)$", 1)
    )
    clock = ibis.ifelse(clock.length() == 0, "00:00", clock)
    zone = bare.re_extract(pattern, 8)
    zone = ibis.ifelse(
        zone.re_search(r"^[+-][0-9]{4}$"), zone.substr(0, 3) + ":" + zone.substr(3, 2), zone
    )
    zone = ibis.ifelse(zone.re_search("^[A-Z]*$"), "+00:00", zone)
    date = year + "-" + month.lpad(2, "0") + "-" + day.lpad(2, "0")
    return date + " " + ibis.ifelse(clock.re_search("^[0-9]:"), "0" + clock, clock) + zone


def _matching(text: ir.StringValue, pattern: str) -> ir.StringValue:
    return ibis.ifelse(text.re_search(pattern), text, ibis.null("string"))
