"""Words for nothing are found in the same texts, whichever way the engine looks for them."""

from __future__ import annotations

from typing import Any

import ibis
import pyarrow as pa
import pytest

from features.sources.duckdb import duckdb_engine
from features.sources.files.plain_forms import MISSING_WORDS, without_missing_words

AROUND = (
    "{}",
    " {}",
    "{} ",
    "{}\t\t\t\t\t\t\t",
    "\n{}\f\f\f\f\f\f",
    "         {}",
    "{}x",
    "x{}",
    "{}.",
)
ALMOST = (
    "nul",
    "nothing",
    "NULLABLE",
    "notes",
    "nonsense    ",
    "N" * 50 + " ",
    "\u00dcnull",
    "\u017f",
)
NO_BLANKS = ("null\u00a0", "\u2028null", "\u2003n/a", "nan\u3000")
"""Blanks that are letters to every engine."""
NOTHING = ("", " ", "          ", "\t", None)


@pytest.fixture(scope="module")
def texts() -> list[str | None]:
    words = [word for each in MISSING_WORDS for word in (each, each.upper(), each.title())]
    return [
        *(form.format(word) for word in words for form in AROUND),
        *(*ALMOST, *NO_BLANKS, *NOTHING, "0", "~", "A-00042", "9" * 300),
    ]


def test_a_word_for_nothing_is_told_by_its_beginning_as_by_the_pattern(
    texts: list[str | None],
) -> None:
    engine = duckdb_engine()
    try:
        rows = ibis.memtable(pa.table({"text": texts}))
        # Only a column is asked in the shorter way; of what is computed the pattern is tried.
        asked = rows.mutate(
            quick=without_missing_words(rows.text),
            plain=without_missing_words(ibis.coalesce(rows.text, ibis.null("string"))),
        )
        kept = engine.keep("texts", asked)
        statement = engine.connection.compile(asked).lower()
        assert statement.count("is_word_for_nothing(") == 1
        assert statement.count("regexp_matches(") == 1
        found: list[dict[str, Any]] = kept.to_pyarrow().to_pylist()
    finally:
        engine.close()
    assert [row["quick"] for row in found] == [row["plain"] for row in found]
    missing = {row["text"] for row in found if row["quick"] is None}
    assert {"null", " N/A", "<na> ", "-", "", None} <= missing
    assert missing.isdisjoint(ALMOST + NO_BLANKS)
