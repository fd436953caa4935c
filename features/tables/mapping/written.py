"""Numbers and times written as text, read alike on every engine.

What an engine's own cast accepts differs: ``1.5f`` is a number to Spark, ``0x1A`` to PostgreSQL and
``1_000`` to DuckDB. Only what all of them read as one and the same value is let through to it.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.tables.mapping.month_names import with_numbers

TRUE_WORDS = ("true", "t", "yes", "y", "1", "1.0", "on", "ja", "oui", "sí", "si", "sim", "wahr")
FALSE_WORDS = ("false", "f", "no", "n", "0", "0.0", "off", "nein", "non", "não", "nee", "falsch")
_NUMBER = (
    r"^([+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,4})?"
    r"|[+-]?([iI][nN][fF]|[iI][nN][fF][iI][nN][iI][tT][yY])|[nN][aA][nN])$"
)
_WITH_COMMAS = r"^[+-]?([0-9]{1,3}(,[0-9]{3})+|[0-9]{1,2}(,[0-9]{2})+,[0-9]{3})([.][0-9]*)?$"
_WITH_POINTS = r"^[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+)(,[0-9]+)?$"
# Signs and codes of currencies, and the blanks and apostrophes that some put between thousands.
_SIGN = "([A-Z]{0,3}[$€£¥₹₩₽₺₪฿₫₴]|[A-Z]{3}|[Kk]r[.]?|zł|Fr[.]?)"
_BEFORE = rf"^([+-]?) *{_SIGN} *([+-]?[0-9.,])"
_AFTER = rf"([0-9.,]) *{_SIGN}$"
_BETWEEN = "([0-9])[\u00a0\u202f '’]([0-9]{3})"
_DATE = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_CLOCK = r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
_ZONE = r"(Z| ?UTC| ?GMT|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_TIME = f"^{_DATE}([ T]{_CLOCK}{_ZONE})?$"
PARTS = r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4}|[0-9]{2})"
REST = rf"(,?[ T] *{_CLOCK}( ?[AaPp][.]?[Mm][.]?)?( ?{_ZONE})?)?$"
COMPACT = r"^((?:19|20)[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$"
NO_DAY = r"^(-[1-9]|0|9999(1231|9999))$"
"""What a key of a day is where there is no day, as warehouses write it beside 20241231."""
COMPACT_TIME = (
    r"^((?:19|20)[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])T?"
    r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])(Z?)$"
)
PLAIN_TIME, OTHER_TIME = _TIME, f"^{_DATE}{REST}|{COMPACT}|{COMPACT_TIME}"


def written_number(
    text: ir.StringValue, decimal: str = ".", *, is_plain: bool = True
) -> ir.FloatingValue:
    """Read a number such as ``-1.5e3``, ``inf`` or ``NaN``; anything else is missing.

    Parameters
    ----------
    text : ibis string
        What is written.
    decimal : {".", ","}
        What parts the whole from its fraction; the other one may part thousands.
    is_plain : bool
        False to read ``$1,250.00``, ``(12.5)`` and ``5 %`` too, with thousands or a sign.
    """
    bare = text.strip()
    if is_plain:
        return _matching(bare, _NUMBER).try_cast("float64")
    bare = bare_number(text)
    if decimal == ",":
        plain = _matching(bare, _WITH_POINTS).replace(".", "").replace(",", ".")
    else:
        plain = ibis.ifelse(bare.re_search(_WITH_COMMAS), bare.replace(",", ""), bare)
        plain = _matching(plain, _NUMBER)
    number = plain.try_cast("float64")
    return ibis.ifelse(text.strip().endswith("%"), number / 100.0, number)


def currency_sign(text: ir.StringValue) -> ir.StringValue:
    """Return the sign or code of the currency that stands beside a number, or nothing."""
    bare = text.strip()
    before, after = bare.re_extract(_BEFORE, 2), bare.re_extract(_AFTER, 2)
    sign = ibis.ifelse(bare.re_search(_BEFORE), before, after)
    return ibis.ifelse(sign == "", ibis.null("string"), sign)


def bare_number(text: ir.StringValue) -> ir.StringValue:
    """Take off what stands around a number, and the blanks or apostrophes between thousands.

    Bookkeepers write ``(12.50)`` and ``12.50-`` for less than nothing.
    """
    bare = text.strip().replace("−", "-").re_replace(" *%$", "")
    bare = bare.re_replace(r"^[(] *(.*[0-9].*?) *[)]$", r"-\1").re_replace(
        "^([^-].*[0-9]) ?-$", r"-\1"
    )
    bare = bare.re_replace(_BEFORE, r"\1\3").re_replace(_AFTER, r"\1")
    # A group that ends one match cannot begin the next.
    return bare.re_replace(_BETWEEN, r"\1\2").re_replace(_BETWEEN, r"\1\2")


def written_time(
    text: ir.StringValue,
    *,
    is_plain: bool = True,
    is_day_first: bool | None = None,
    century: int | None = None,
    is_named: bool = False,
) -> ir.TimestampValue:
    """Read a date, with a time of day and a zone if they are there, in UTC.

    The form is that of ISO 8601, ``2024-02-20T10:30:00.5+02:00``; a blank may stand for the T, a
    slash for the hyphens. Anything else is missing, a date that never was included.

    Parameters
    ----------
    text : ibis string
        What is written.
    is_plain : bool
        False to read 10:30 PM, 20240220 and a zone after a blank too.
    is_day_first : bool, optional
        Read ``1/2/2024`` too, as 1 February or as January 2nd.
    century : int, optional
        Read years of two digits too, within this century (such as 2000).
    is_named : bool
        Read months in words too.
    """
    bare = text.strip()
    if is_named:
        bare, is_plain = with_numbers(bare, century), False
    if century is not None:
        short = r"^([0-9]{1,2}[-/.][0-9]{1,2}[-/.])([0-9]{2})($|[^0-9])"
        bare = bare.re_replace(short, "\\1" + str(century // 100) + "\\2\\3")
    if is_day_first is not None:
        order = r"\3-\2-\1" if is_day_first else r"\3-\1-\2"
        bare = bare.re_replace(r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})", order)
    if is_plain and is_day_first is None:
        return _moment(bare)
    bare = bare.re_replace(COMPACT_TIME, r"\1-\2-\3 \4:\5:\6\7")
    bare = bare.re_replace(COMPACT, r"\1-\2-\3").re_replace(",?[ T] *([0-9]{1,2}:)", r" \1")
    bare = bare.re_replace(r"([0-9]) ?([+-][0-9]{2}):?([0-9]{2})$", r"\1\2:\3")
    half = r" ?([AaPp])[.]?[Mm][.]?$"
    later = bare.re_search("[ T](0?[1-9]|1[01]):.*[Pp][.]?[Mm][.]?$")
    earlier = bare.re_search("[ T]12:.*[Aa][.]?[Mm][.]?$")
    hours = ibis.cases((later, 12), (earlier, -12), else_=0)
    return _moment(bare.re_replace(half, "")) + hours.as_interval("h")


def _moment(bare: ir.StringValue) -> ir.TimestampValue:
    moment = _matching(bare, _TIME).replace("/", "-").try_cast("timestamp('UTC')")
    return moment.cast("timestamp")


def _matching(text: ir.StringValue, pattern: str) -> ir.StringValue:
    return ibis.ifelse(text.re_search(pattern), text, ibis.null("string"))
