"""Hostile words in cells, judged by what programs make of a file and not by our patterns."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.scoring.export_files import harmless, readable, utf16_length

SIGNS = "=+-@"
# The same of full width, and small.
WIDE = "\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
BREAKS = ("\t", "\r", "\n")
BLANKS = "".join(
    chr(code)
    for code in range(0x110000)
    if unicodedata.category(chr(code)) in ("Zs", "Zl", "Zp", "Cf")
)
NASTY = st.text(
    st.sampled_from([*SIGNS, *WIDE, *"';,\t\r\n \"|a1", "\u3000", "\ufeff", "\u200b", "\x00"]),
    max_size=12,
)
TEXTS = st.one_of(NASTY, st.text(max_size=20))
ATTACKS = (
    "=1+1",
    "  =1+1",
    "\u3000\uff1dHYPERLINK(1)",
    "\ufeff@SUM(1)",
    "\t=1",
    "\r=1",
    "\n\n=1",
    "Acme;=cmd|' /C calc'!A0;",
    "Acme\n-1+1",
    'Acme";=1;"',
    "'=1",
    "; \n+1",
)


def opened(text: str, separator: str) -> list[list[str]]:
    """Open a file as a program does that is set to a separator, whatever the file was made with."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def is_formula(cell: str) -> bool:
    """Whether the most obliging program there is would take a cell for a formula."""
    seen = [c for c in cell if not c.isspace() and unicodedata.category(c) != "Cf"][:1]
    if not seen:
        return False
    kind, _, plain = unicodedata.decomposition(seen[0]).partition(" ")
    wide = kind in ("<wide>", "<small>", "<narrow>")
    return (chr(int(plain, 16)) if wide else seen[0]) in SIGNS


def written(texts: list[str]) -> str:
    sink = io.BytesIO()
    cells = harmless(readable(pa.array(texts, pa.string())))
    table = pa.table({"id": cells, "name": cells, "points": pa.array([-3.2] * len(texts))})
    pa.csv.write_csv(table, sink, pa.csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue().decode()


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attacks_are_ones(attack: str) -> None:
    """What the next test forbids does happen where nothing is done about it."""
    quoted = attack.replace('"', '""')
    rows = [row for separator in ",;\t" for row in opened(f'"A1","{quoted}",-3.2\n', separator)]
    # Of an apostrophe that is there already the next program may take no notice.
    assert any(is_formula(cell.lstrip("'")) for row in rows for cell in row if cell != "-3.2")


@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(list(ATTACKS))
def test_no_program_sees_a_formula(texts: list[str]) -> None:
    for separator in ",;\t":
        for row in opened(written(texts), separator):
            assert not [cell for cell in row if is_formula(cell) and cell != "-3.2"]
    # No cell begins with what makes some programs take up what follows (OWASP).
    assert not [cell for row in opened(written(texts), ",") for cell in row if cell[:1] in BREAKS]


def undone(cell: str) -> str:
    """Take the apostrophes away again, as docs/reference/exports.md says."""
    cell = re.sub(r"\A'('*[\t\r\n])", r"\1", cell)
    return re.sub(rf"(\A|[;\t\r\n])'('*[\v\f{BLANKS}]*[-=+@{WIDE}])", r"\1\2", cell)


@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(list(ATTACKS))
def test_every_text_comes_back(texts: list[str]) -> None:
    _, *rows = opened(written(texts), ",")
    assert [undone(row[1]) for row in rows] == readable(pa.array(texts)).to_pylist()
    assert [float(row[2]) for row in rows] == [-3.2] * len(texts)


@given(TEXTS)
def test_what_is_readable_holds_nothing_that_xml_or_a_terminal_minds(text: str) -> None:
    (found,) = readable(pa.array([text])).to_pylist()
    codes = [ord(character) for character in found]
    assert all(code in (9, 10) or (code >= 32 and not 127 <= code < 160) for code in codes)
    assert not {0xFFFE, 0xFFFF} & set(codes)
    if all(c.isprintable() for c in text):
        assert found == text


def test_control_characters_are_spelt_out() -> None:
    texts = pa.array(["a\x00b", "A\x1b[31m", "1\r\n2\t3", "\x7f\x85", "\ufffe\uffff", None, ""])
    assert readable(texts).to_pylist() == [
        "a\\x00b",
        "A\\x1b[31m",
        "1\\x0d\n2\t3",
        "\\x7f\\x85",
        "\\ufffe\\uffff",
        None,
        "",
    ]


@pytest.mark.parametrize("kept", ["Acme", "a-b", "a=b", "x@y.com", "a; b", "O'Brien", "−8.1", ""])
def test_what_is_harmless_stays(kept: str) -> None:
    assert harmless(pa.array([kept, None])).to_pylist() == [kept, None]


def test_an_apostrophe_marks_text_and_earlier_ones_are_kept() -> None:
    cells = harmless(pa.array(["=1", "'=1", "-3.2", "a\n=1", "\tx"]))
    assert cells.to_pylist() == ["'=1", "''=1", "'-3.2", "a\n'=1", "'\tx"]


@given(st.text())
def test_lengths_are_those_of_utf_16(text: str) -> None:
    assert utf16_length(text) == len(text.encode("utf-16-le")) // 2
