"""Plain forms of texts: which columns hold only numbers, dates or yes and no, whatever they mean.

A type is given where it loses nothing that matters: ``007``, ``1E4``, ``00:07`` and ``02-01-24``
stay texts, for they may be ids.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import ibis.selectors as s

MISSING_WORDS = ("null", "(null)", r"\n", "n/a", "#n/a", "-", "nan", "nat", "<na>")
"""Words that programs write where there is no value, in lower case."""
NONE_WORDS = (
    "none",
    "nil",
    "na",
    "n.a.",
    "n. a.",
    "undefined",
    "unknown",
    "not set",
    "unset",
    "blank",
)
"""Words that stand for nothing among times and numbers; of texts they may be values."""
OPEN_WORDS = ("active", "ongoing", "open", "present", "current", "running", "never", "indefinite")
"""Words for an end that there is not."""
MISSING_PATTERN = f"^({'|'.join(map(re.escape, MISSING_WORDS))})?$"
"""Of a text without blanks around it, in lower case."""
_SIGNS = r"[(<\[]?[-–—?.]{1,3}[)>\]]?|0000[-/.]00[-/.]00.*|00[-/.]00[-/.]0000.*"
_NONE = (
    rf"^[(<\[]?({'|'.join(map(re.escape, (*NONE_WORDS, 'empty', 'null')))})[)>\]]?$|^({_SIGNS})$"
)
_OPEN = f"^({'|'.join(OPEN_WORDS)})$"
_WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
_WHOLE_WITH_ZERO = r"^-?(0|[1-9][0-9]{0,14})([.]0)?$"
# Only programs write the sign of an exponent: 1E4 may be an id.
_NUMBER = r"^-?(0|[1-9][0-9]{0,15})?([.][0-9]+)?([eE][+-][0-9]{1,3})?$"
_SURELY_DECIMAL = r"^-?((0|[1-9][0-9]{3,})[.][0-9]+|[0-9]*[.]([0-9]{1,2}|[0-9]{4,})|.*[eE].*)$"
_PERHAPS_THOUSANDS = r"^-?[1-9][0-9]{0,2}[.][0-9]{3}$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?$"
_FLAG = r"^(?i:true|false)$"
_PATTERNS = {"whole": _WHOLE, "zero": _WHOLE_WITH_ZERO, "number": _NUMBER, "flag": _FLAG}


@dataclass(frozen=True)
class TextTable:
    """A file's columns as texts, and the types that lose nothing.

    Parameters
    ----------
    texts : ibis table
        Every value as it is written.
    types : dict of str to str
        Type per column whose every value is plainly of it.
    notes : tuple of str
        What was decided of the file, for people.
    """

    texts: ir.Table
    types: dict[str, str]
    notes: tuple[str, ...] = ()

    def typed(self, as_written: Collection[str] = ()) -> ir.Table:
        """Return the table with types; of the named columns, with none that rewrites a value."""
        fresh = {
            name: without_missing_words(self.texts[name]).try_cast(kind)
            for name, kind in self.types.items()
            if name not in as_written or kind == "int64"
        }
        return self.texts.mutate(**fresh) if fresh else self.texts


def text_table(texts: ir.Table) -> TextTable:
    """Look at every value once and decide the types."""
    return TextTable(texts, plain_types(texts))


def without_missing_words(text: ir.StringValue) -> ir.StringValue:
    """Return a text, or nothing where it is blank or a word for nothing."""
    # A pattern and not a list: joins on what a list decides would try every pair of rows.
    is_missing = text.strip().lower().re_search(MISSING_PATTERN)
    return ibis.ifelse(is_missing, ibis.null("string"), text)


def without_none(text: ir.StringValue, *, may_be_open: bool = False) -> ir.StringValue:
    """Return a written time or number, or nothing where a word or sign stands for none.

    Parameters
    ----------
    text : ibis string
        What is written.
    may_be_open : bool
        Whether it is an end, where ``active`` stands for none too.
    """
    bare = without_missing_words(text)
    lowered = bare.strip().lower()
    is_none = lowered.re_search(_NONE)
    if may_be_open:
        is_none = is_none | lowered.re_search(_OPEN)
    return ibis.ifelse(is_none, ibis.null("string"), bare)


def is_open_word(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a word says that nothing has ended."""
    return text.strip().lower().re_search(_OPEN)


def plain_types(texts: ir.Table) -> dict[str, str]:
    """Find the type of each column of texts that has one, in one scan.

    Returns
    -------
    dict of str to str
        ``int64``, ``float64``, ``boolean``, ``date`` or ``timestamp`` per column; columns that are
        to stay texts are left out.
    """
    counts: dict[str, dict[str, int]] = {}
    if len(texts.columns) > MANY_COLUMNS:
        # An expression for every column takes longer to write than its values to read.
        places = texts.select(
            **{f"c{place}": texts[name] for place, name in enumerate(texts.columns)}
        )
        rows = places.pivot_longer(s.all(), names_to="place", values_to="value")
        each = rows.group_by("place").aggregate(**measures_of(rows.value)).execute()
        for counted in each.to_dict("records"):
            counts[texts.columns[int(str(counted["place"])[1:])]] = counted
    else:
        measures = {
            f"{place} {kind}": measure
            for place, name in enumerate(texts.columns)
            for kind, measure in measures_of(texts[name]).items()
        }
        row = texts.aggregate(**measures).execute().iloc[0].to_dict() if measures else {}
        for place, name in enumerate(texts.columns):
            counts[name] = {kind: row[f"{place} {kind}"] for kind in _KINDS}
    types = {name: type_of({kind: int(counted[kind]) for kind in _KINDS})
             for name, counted in counts.items()}  # fmt: skip
    return {name: types[name] for name in texts.columns if types.get(name)}


MANY_COLUMNS = 200


def measures_of(text: ir.StringValue) -> dict[str, ir.Value]:
    """Count the values of a column that are of each form."""
    value = without_missing_words(text)
    measures: dict[str, ir.Value] = {"present": value.count()}
    for kind, pattern in _PATTERNS.items():
        measures[kind] = value.re_search(pattern).sum().fill_null(0)
    measures["decimal"] = value.re_search(_SURELY_DECIMAL).sum().fill_null(0)
    measures["thousands"] = value.re_search(_PERHAPS_THOUSANDS).sum().fill_null(0)
    for kind, pattern in (("date", _DATE), ("timestamp", f"{_DATE}|{_TIME}")):
        is_read = value.re_search(pattern) & value.try_cast("timestamp").notnull()
        measures[kind] = is_read.sum().fill_null(0)
    return measures


_KINDS = ("present", *_PATTERNS, "decimal", "thousands", "date", "timestamp")


def type_of(counts: Mapping[str, int]) -> str:
    """Return the type that all values of a column plainly are of; empty where there is none."""
    present = counts["present"]
    if not present:
        return ""
    if present in (counts["whole"], counts["zero"]):
        return "int64"
    if counts["number"] == present and (counts["decimal"] or not counts["thousands"]):
        return "float64"
    if counts["flag"] == present:
        return "boolean"
    if counts["date"] == present:
        return "date"
    return "timestamp" if counts["timestamp"] == present else ""
