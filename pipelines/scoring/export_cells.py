"""Other people's words in cells of a spreadsheet: always text, never a formula, always readable.

A name such as ``=HYPERLINK(...)`` is run by a spreadsheet program that opens it from a CSV file
(OWASP, "CSV Injection"). Numbers are no text: they are written as numbers and -3.2 stays -3.2.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

# What XML cannot hold, what ends a text early in some programs, and what moves a terminal's cursor.
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{fffe}\x{ffff}]"
_CONTROL_IN_PYTHON = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
# Programs that trim a cell, or take a sign of full or small width for the plain one, see a formula.
_BLANK = r"[ \v\f\p{Z}\p{Cf}]*"
_SIGN = r"[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}\x{fe66}\x{fe62}\x{fe63}\x{fe6b}]"
# A program set to another separator begins a cell after each of these, quotes or not.
_BEFORE = r"^|[;\t\r\n]"
_FORMULA = rf"({_BEFORE})('*{_BLANK}{_SIGN})"
_LEADING_BREAK = r"^('*[\t\r\n])"


def readable(texts: pa.Array) -> pa.Array:
    r"""Spell out control characters, but for tabs and line breaks.

    Parameters
    ----------
    texts : StringArray
        Any text; null stays null.

    Examples
    --------
    >>> print(readable(pa.array(["A\x1b[31m", "two\nlines"])).to_pylist())
    ['A\\x1b[31m', 'two\nlines']
    """
    if not pc.any(pc.match_substring_regex(texts, _CONTROL)).as_py():
        return texts
    spelt = [None if text is None else _spelt(text) for text in texts.to_pylist()]
    return pa.array(spelt, pa.string())


def harmless(texts: pa.Array) -> pa.Array:
    """Put an apostrophe before whatever a spreadsheet program would take for a formula.

    It goes before ``= + - @`` (of any width, after blanks too) at the start of a text and after a
    semicolon, a tab or a line break within it, and before a tab or a line break at the start.
    Apostrophes that were there stay, so that taking one away again gives the text as it was.

    Parameters
    ----------
    texts : StringArray
        Any text; null stays null.

    Examples
    --------
    >>> harmless(pa.array(["=1+1", "Acme; =1+1", "a-b", "'@x"])).to_pylist()
    ["'=1+1", "Acme;' =1+1", 'a-b', "''@x"]
    """
    marked = pc.replace_substring_regex(texts, _FORMULA, r"\1'\2")
    return pc.replace_substring_regex(marked, _LEADING_BREAK, r"'\1")


def utf16_length(text: str) -> int:
    """Count characters as spreadsheets do: one beyond the basic plane counts for two.

    Examples
    --------
    >>> utf16_length("a😀")
    3
    """
    return len(text) + sum(character > "\uffff" for character in text)


def _spelt(text: str) -> str:
    return _CONTROL_IN_PYTHON.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    return rf"\x{code:02x}" if code < 0x100 else rf"\u{code:04x}"
