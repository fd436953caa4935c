"""Numbers and times written as text, read alike on every engine.

What an engine's own cast accepts differs: ``1.5f`` is a number to Spark, ``0x1A`` to PostgreSQL and
``1_000`` to DuckDB. Only what all of them read as one and the same value is let through to it.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

_NUMBER = (
    r"^([+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,4})?"
    r"|[+-]?([iI][nN][fF]|[iI][nN][fF][iI][nN][iI][tT][yY])|[nN][aA][nN])$"
)
_DATE = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_CLOCK = r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
_ZONE = r"(Z| ?UTC| ?GMT|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_TIME = f"^{_DATE}([ T]{_CLOCK}{_ZONE})?$"


def written_number(text: ir.StringValue) -> ir.FloatingValue:
    """Read a number such as ``-1.5e3``, ``inf`` or ``NaN``; anything else is missing."""
    return _matching(text.strip(), _NUMBER).try_cast("float64")


def written_time(text: ir.StringValue) -> ir.TimestampValue:
    """Read a date, with a time of day and a zone if they are there, in UTC.

    The form is that of ISO 8601, ``2024-02-20T10:30:00.5+02:00``; a blank may stand for the T, a
    slash for the hyphens. Anything else is missing, a date that never was included.
    """
    moment = _matching(text.strip(), _TIME).replace("/", "-").try_cast("timestamp('UTC')")
    return moment.cast("timestamp")


def _matching(text: ir.StringValue, pattern: str) -> ir.StringValue:
    return ibis.ifelse(text.re_search(pattern), text, ibis.null("string"))
