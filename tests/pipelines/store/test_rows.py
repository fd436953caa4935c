"""What may be issued: rows that break a rule are refused, and rows go to PostgreSQL unharmed."""

from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import StoreError
from features.sources.engines.postgres_copy import from_csv, to_csv
from pipelines.store.schema import REASONS, SCORE_SCHEMA
from pipelines.store.writer import checked
from tests.pipelines.issued import GROUPS_OF, batch

NAN, ACCOUNTS = float("nan"), ["A", "B", "C"]


def without(name: str) -> pa.RecordBatch:
    return batch(ACCOUNTS).drop_columns([name])


def with_nulls(name: str) -> pa.RecordBatch:
    given = batch(ACCOUNTS)
    kind = SCORE_SCHEMA.field(name).type
    values = pa.array([given.column(name)[0].as_py(), None, None], kind)
    return given.set_column(given.schema.get_field_index(name), name, values)


def with_reasons(signals: list[Any], points: list[Any], values: list[Any]) -> pa.RecordBatch:
    return batch(ACCOUNTS, reason_signals=signals, reason_points=points, reason_values=values)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            without("score"),
            "Scores must have the columns of SCORE_SCHEMA once each, and 'score' are missing or too"
            " many; correct the batch",
        ),
        (
            batch(ACCOUNTS).append_column("note", pa.array(ACCOUNTS)),
            "Scores must have the columns of SCORE_SCHEMA once each, and 'note' are missing or too"
            " many; correct the batch",
        ),
        (
            without("score").append_column("score", pa.array(["1", "x", "2"])),
            "Scores must hold double in column 'score', found string; correct the batch",
        ),
        (
            with_nulls("account_id"),
            "'account_id' of a score must be known and is missing, in 2 rows (accounts 'None',"
            " 'None'); nothing was issued",
        ),
        (
            with_nulls("reason_values"),
            "'reason_values' of a score must be known and is missing, in 2 rows (accounts 'B',"
            " 'C'); nothing was issued",
        ),
        (
            batch(ACCOUNTS, score=[1.0, NAN, 2.0]),
            "'score' of a score must be a number and is none, in 1 rows (accounts 'B'); nothing was"
            " issued",
        ),
        (
            batch(ACCOUNTS, points_usage=[1.0, 2.0, float("-inf")]),
            "'points_usage' of a score must be a number and is none, in 1 rows (accounts 'C');"
            " nothing was issued",
        ),
        (
            with_reasons([["plan"], [], []], [[1.0], [2.0], []], [[None], [None], []]),
            "'reason_signals' of a score must be at most 5, with as many points and values, and are"
            " not, in 1 rows (accounts 'B'); nothing was issued",
        ),
        (
            with_reasons([["plan"], [], []], [[1.0], [], []], [[], [], []]),
            "'reason_signals' of a score must be at most 5, with as many points and values, and are"
            " not, in 1 rows (accounts 'A'); nothing was issued",
        ),
        (
            with_reasons([["plan"] * 6, [], []], [[1.0] * 6, [], []], [[None] * 6, [], []]),
            "'reason_signals' of a score must be at most 5, with as many points and values, and are"
            " not, in 1 rows (accounts 'A'); nothing was issued",
        ),
        (
            with_reasons([["plan"], [], []], [[NAN], [], []], [[None], [], []]),
            "Scores must have numbers in 'reason_points'; correct the batch",
        ),
        (
            with_reasons([["plan"], [], []], [[None], [], []], [[None], [], []]),
            "Scores must have numbers in 'reason_points'; correct the batch",
        ),
        (
            with_reasons([["plan", "age", None], [], []], [[1.0] * 3, [], []], [["x"] * 3, [], []]),
            "The group of the signals 'age', 'None' is not given; issue the run with the group of"
            " every signal that may be a reason",
        ),
    ],
)
def test_rows_that_break_a_rule_are_refused(rows: pa.RecordBatch, message: str) -> None:
    with pytest.raises(StoreError) as refused:
        checked(rows, GROUPS_OF)
    assert str(refused.value) == message


def test_columns_come_in_any_order_and_in_types_that_say_the_same() -> None:
    given = batch(["A", "B"], mrr=[float("nan"), 5.0], score=[1.0, 2.0])
    shuffled = given.select(given.schema.names[::-1])
    place = shuffled.schema.get_field_index("segment")
    coded = shuffled.column("segment").dictionary_encode()
    shuffled = shuffled.set_column(place, "segment", coded)
    place = shuffled.schema.get_field_index("score")
    shuffled = shuffled.set_column(place, "score", pa.array([1, 2]))
    found = checked(shuffled, GROUPS_OF)
    assert found.schema == SCORE_SCHEMA
    assert found.column("mrr").to_pylist() == [None, 5.0]
    rest = [name for name in given.schema.names if name != "mrr"]
    assert found.select(rest).equals(given.select(rest))


def test_no_reasons_at_all_are_fine() -> None:
    empty: list[list[Any]] = [[], [], []]
    rows = with_reasons(empty, empty, empty)
    assert checked(rows, {}).equals(rows)


TEXT = st.one_of(
    st.none(),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
NUMBER = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
FIELDS = pa.schema(
    [
        ("a", pa.string()),
        ("n", pa.float64()),
        ("t", pa.list_(pa.string())),
        ("p", pa.list_(pa.float64())),
    ]
)


def elements(literal: str) -> list[str | None]:
    """Read an array literal as section 8.15 of PostgreSQL's manual says it is read."""
    found: list[str | None] = []
    text, place = literal[1:-1], 0
    while place < len(text):
        if text[place] == '"':
            place += 1
            element = ""
            while text[place] != '"':
                place += text[place] == "\\"
                element += text[place]
                place += 1
            found.append(element)
            place += 2
        else:
            word = text[place:].partition(",")[0]
            found.append(None if word == "NULL" else word)
            place += len(word) + 1
    return found


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(TEXT, NUMBER, st.lists(TEXT, max_size=5), st.lists(NUMBER, max_size=5)),
        min_size=1,
        max_size=6,
    )
)
def test_what_goes_over_as_csv_is_what_was_given(rows: list[tuple[Any, ...]]) -> None:
    given_rows = [dict(zip("antp", row, strict=True)) for row in rows]
    whole = pa.RecordBatch.from_pylist([{}] * 2 + given_rows, FIELDS)
    # A slice, whose lists begin in the middle of what they are cut from.
    text = to_csv(whole.slice(2)).decode()
    laid_out = io.StringIO()
    writer = csv.writer(laid_out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for line, row in zip(csv.reader(io.StringIO(text, newline="")), rows, strict=True):
        account, number, texts, numbers = row
        assert line[0] == (account or "")
        assert (float(line[1]) if line[1] else None) == number
        assert elements(line[2]) == texts
        assert [None if n is None else float(n) for n in elements(line[3])] == numbers
        server = [account, number, len(texts), *texts, *[None] * (5 - len(texts))]
        server += [len(numbers), *numbers, *[None] * (5 - len(numbers))]
        start = laid_out.tell()
        writer.writerow(["\0" if value is None else value for value in server])
        assert laid_out.tell() > start
    # What the server sends: every text in quotation marks, and nothing at all for NULL.
    answer = laid_out.getvalue().replace('"\0"', "").encode()
    blocks = [b"", *(answer[place : place + 7] for place in range(0, len(answer), 7))]
    found = [row for part in from_csv(blocks, FIELDS, 1 << 20, REASONS) for row in part.to_pylist()]
    assert found == given_rows
    assert list(from_csv([b""], FIELDS, 1 << 20, REASONS)) == []
