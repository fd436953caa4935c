"""Records of people: what was done, overrides, imports, and calls among the interventions."""

from __future__ import annotations

import csv
import os
import threading
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.errors import DataError, SettingsError, StoreError
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.project.records.calls import (
    CallBook,
    CallEntry,
    call_book,
    call_entry,
    standing_of,
)
from pipelines.project.records.importing import calls_in
from pipelines.project.records.overrides import OverrideBook, Scored, made_override
from tests.pipelines.dashboard.served import company

NOW = datetime(2025, 1, 10, 9, 30)
SCORED = Scored(
    "main",
    date(2025, 1, 1),
    "3",
    "healthy",
    0.02,
    {"at-risk": 0.3, "watch": 0.1, "healthy": 0.03},
)


def entry(account: str = "A", state: str = "called", **also: object) -> CallEntry:
    return call_entry(account, state, **{"by": "ben", "moment": NOW, **also})  # type: ignore[arg-type]


# ---- calls -------------------------------------------------------------------------------------


def test_the_newest_entry_says_what_an_account_is(tmp_path: Path) -> None:
    book = CallBook(tmp_path / "calls.jsonl")
    book.record([entry(), entry("B", "snoozed", until=date(2025, 1, 20), note=" a\n\n b  c ")])
    book.record([entry("A", "open")])
    states = {name: one.state for name, one in book.standings(NOW.date()).items()}
    assert states == {"A": "open", "B": "snoozed"}
    assert book.standings(date(2025, 1, 20))["B"].state == "open"
    assert book.of("B")[0].note == "a\n\nb c"
    assert book.standings(NOW.date())["B"].words == "snoozed until 2025-01-20 by ben"
    # Read by another process.
    assert CallBook(book.path).entries() == book.entries()


@pytest.mark.parametrize(("days", "state"), [(0, "called"), (30, "called"), (31, "open")])
def test_a_call_counts_for_a_month(days: int, state: str) -> None:
    assert standing_of([entry()], NOW.date() + timedelta(days=days)).state == state


def test_what_is_written_down_afterwards_undoes_nothing(tmp_path: Path) -> None:
    book, earlier = CallBook(tmp_path / "calls.jsonl"), NOW - timedelta(days=400)
    book.record([entry(done_at=NOW - timedelta(days=2)), entry(done_at=earlier, by="the import")])
    told = book.standings(NOW.date())["A"]
    assert (told.state, told.entry.by) == ("called", "ben")
    # A clock that was set back still says what is so now.
    book.record([entry("A", "open", moment=earlier)])
    assert book.standings(NOW.date())["A"].state == "open"


def test_the_same_entry_sent_twice_is_kept_once(tmp_path: Path) -> None:
    book = CallBook(tmp_path / "calls.jsonl")
    assert len(book.record([entry(key="1"), entry(key="1")])) == 1
    assert book.record([entry(key="1")]) == []
    assert len(book.record([entry(), entry()])) == 2
    assert len(book.entries()) == 3


def test_many_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        CallBook(tmp_path / "calls.jsonl").record([entry(f"A{number}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = CallBook(tmp_path / "calls.jsonl").entries()
    assert {one.account_id for one in held} == {f"A{number}" for number in range(8)}


def test_what_was_edited_is_noticed_and_half_a_line_was_never_written(tmp_path: Path) -> None:
    book = CallBook(tmp_path / "calls.jsonl")
    book.record([entry("A"), entry("B")])
    with book.path.open("ab") as file:
        file.write(b'{"form": 1, "bef')
    assert len(book.entries()) == 2
    book.record([entry("C")])
    assert [one.account_id for one in CallBook(book.path).entries()] == ["A", "B", "C"]
    text = book.path.read_text("utf-8").replace('"ben"', '"eve"', 1)
    book.path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=r"Line 1 of the record of calls .* is not as it was"):
        book.entries()
    assert os.stat(book.path).st_mode & 0o777 == 0o600


def test_lines_cut_off_the_end_are_noticed(tmp_path: Path) -> None:
    book = CallBook(tmp_path / "calls.jsonl")
    book.record([entry("A"), entry("B")])
    mark = tmp_path / ".calls.jsonl.lock"
    earlier = mark.read_bytes()
    book.record([entry("C")])
    lines = book.path.read_bytes().splitlines(keepends=True)
    sentence = (
        r"calls.jsonl' ends after 2 of 3 lines .*; put back a copy of the file, or remove '.*"
    )
    for reader in (book, CallBook(book.path)):
        for text in (lines[:2], [*lines[:2], lines[2][:-9]]):
            book.path.write_bytes(b"".join(text))
            with pytest.raises(StoreError, match=sentence):
                reader.record([entry("D")])
    # Nor does it help to write others in their place, or to take the file away.
    mark.rename(tmp_path / "mark")
    CallBook(book.path).record([entry("D")])
    (tmp_path / "mark").rename(mark)
    with pytest.raises(StoreError, match=r"Line 3 of the record of calls .* is not as it was"):
        CallBook(book.path).entries()
    book.path.unlink()
    with pytest.raises(StoreError, match="ends after 0 of 3 lines"):
        CallBook(book.path).entries()
    # Who was stopped before the mark had written what counts; without a mark the file is believed.
    book.path.write_bytes(b"".join(lines))
    for said in (earlier, b"", b"nine lines", b"\xff"):
        mark.write_bytes(said)
        assert len(CallBook(book.path).entries()) == 3


def test_lines_put_in_place_of_all_are_not_taken_for_a_change(tmp_path: Path) -> None:
    book = CallBook(tmp_path / "calls.jsonl")
    book.record([entry("A"), entry("B")])
    reader = CallBook(book.path)
    assert len(reader.entries()) == 2
    with book.adding():
        book.rewrite([entry("erased-1")])
    assert [one.account_id for one in reader.entries()] == ["erased-1"]
    book.path.write_bytes(b"")
    with pytest.raises(StoreError, match="ends after 0 of 1 lines"):
        reader.entries()


@pytest.mark.parametrize(
    ("also", "sentence"),
    [
        ({"state": "done"}, "A call is open, called, snoozed, and 'done' is none; choose one"),
        ({"state": "caled"}, "A call is open, called, snoozed, and 'caled' is none; did you mean"),
        ({"result": "yes"}, "What came of a call is reached, not reached, will stay, will leave"),
        ({"state": "snoozed"}, "A call is snoozed until a day after today and within a year, and"),
        ({"state": "snoozed", "until": NOW.date()}, "A call is snoozed until a day after today"),
        ({"state": "snoozed", "until": date(2027, 1, 1)}, "A call is snoozed until a day after"),
        ({"note": "x" * 1001}, "A note has up to 1,000 printable characters, and 'xxx"),
        ({"note": "\u202ex"}, "A note has up to 1,000 printable characters"),
        ({"play": "x" * 101}, "A play has up to 100 printable characters"),
        ({"done_at": NOW + timedelta(days=1)}, "What was done lies in the past, and 2025-01-11"),
    ],
)
def test_what_cannot_have_been_done_is_refused(also: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        entry(**also)  # type: ignore[arg-type]
    assert str(refused.value).startswith(sentence)


# ---- imports -----------------------------------------------------------------------------------


def written(folder: Path, *rows: list[str]) -> Path:
    file = folder / "calls.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
    return file


def test_a_file_read_twice_is_kept_once(tmp_path: Path) -> None:
    rows = [
        ["account_id", "done_at", "play", "result", "note"],
        ["=1+1", "2025-01-02", "QBR", "Will stay", '<b>"x",\ny</b>'],
        ["B", "2025-01-03T10:00:00+02:00", "", "", ""],
        ["B", "2025-01-03T10:00:00+02:00", "", "", ""],
    ]
    file, book = written(tmp_path, *rows), CallBook(tmp_path / "calls.jsonl")
    fresh = book.record(calls_in(file, NOW, "import"))
    assert [(one.account_id, one.state, one.play, one.result, one.done_at) for one in fresh] == [
        ("=1+1", "called", "QBR", "will stay", datetime(2025, 1, 2)),
        ("B", "called", None, None, datetime(2025, 1, 3, 8)),
    ]
    assert book.record(calls_in(file, NOW + timedelta(days=1), "import")) == []


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([["account", "done_at"]], "Calls are read from the columns account_id, state, done_at"),
        ([["account_id", "done_at"], ["", "2025-01-02"]], "names no account; write its"),
        ([["account_id", "done_at"], ["A", "soon"]], "Line 2 of "),
        ([["account_id", "done_at"], ["A", ""]], "done_at must be a date or a time such as 2026"),
        ([["account_id", "done_at", "until"], ["A", "2025-01-02", "x"]], "until must be a date"),
        ([["account_id", "done_at", "state"], ["A", "2025-01-02", "x"]], "A call is open, called"),
        ([["account_id", "done_at"], ["A", "2026-01-02"]], "What was done lies in the past"),
    ],
)
def test_a_file_with_a_wrong_row_is_refused_whole(tmp_path, rows, sentence) -> None:
    file, book = written(tmp_path, *rows), CallBook(tmp_path / "calls.jsonl")
    with pytest.raises(DataError) as refused:
        book.record(list(calls_in(file, NOW, "import")))
    assert sentence in str(refused.value)
    assert not book.path.exists()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(calls_in(tmp_path / "absent.csv", NOW, "import"))


# ---- overrides ---------------------------------------------------------------------------------


def test_an_override_counts_until_it_ends_or_is_taken_back(tmp_path: Path) -> None:
    book = OverrideBook(tmp_path / "overrides.jsonl")
    until = date(2025, 2, 1)
    made = made_override(
        "A",
        SCORED,
        "at-risk",
        reason="their  champion left",
        until=until,
        by="ben",
        moment=NOW,
    )
    assert (made.band_issued, made.probability, made.probability_meant) == ("healthy", 0.02, 0.3)
    book.record(made)
    assert book.standing("main", NOW.date()) == {"A": made}
    assert book.standing("growth", NOW.date()) == {}
    assert book.standing("main", until) == {}
    back = made_override("A", SCORED, "", reason="", until=None, by="ben", moment=NOW)
    book.record(back)
    assert book.standing("main", NOW.date()) == {}


@pytest.mark.parametrize(
    ("also", "sentence"),
    [
        ({"band": "red"}, "A score is overridden by at-risk, healthy, watch, and 'red' is none"),
        ({"band": "healthy"}, "The account is healthy already, so there is nothing to dispute"),
        ({"reason": "no"}, "An override has a reason of 10 to 1,000 printable characters, and"),
        ({"until": None}, "An override ends on a day after today and within 180 days, and no day"),
        ({"until": NOW.date()}, "An override ends on a day after today and within 180 days, and"),
        ({"until": date(2025, 12, 1)}, "An override ends on a day after today and within 180"),
    ],
)
def test_what_disputes_nothing_is_refused(also: dict[str, object], sentence: str) -> None:
    given = {"band": "watch", "reason": "their champion left", "until": date(2025, 2, 1)} | also
    band = str(given.pop("band"))
    with pytest.raises(SettingsError) as refused:
        made_override("A", SCORED, band, by="ben", moment=NOW, **given)  # type: ignore[arg-type]
    assert str(refused.value).startswith(sentence)


# ---- among the interventions -------------------------------------------------------------------


def test_calls_that_were_made_are_interventions(tmp_path: Path) -> None:
    project = company(tmp_path / "company", 5)
    with open_company(project) as held:
        assert "interventions" not in held.tables
        end = held.data_end
    book = call_book(project.folder)
    book.record(
        [
            entry("A-0001", done_at=datetime(2024, 6, 1), play="QBR"),
            entry("A-0002", done_at=datetime(2024, 7, 1)),
            entry("A-0003", "snoozed", until=date(2025, 2, 1)),
            entry("A-0003", "open"),
        ]
    )
    with open_company(project) as held:
        rows = held.tables["interventions"].cleaned.execute().sort_values("account_id")
        assert rows["account_id"].tolist() == ["A-0001", "A-0002"]
        assert rows["play"].tolist() == ["QBR", "call"]
        # Nobody knew of it before it was written.
        assert set(rows["recorded_at"]) == {pd.Timestamp(NOW)}
        assert held.data_end == end


def test_calls_stand_beside_those_of_the_tables(tmp_path: Path) -> None:
    from features.outcomes.interventions import acts_after

    project = company(tmp_path / "company", 5)
    (project.folder / "data" / "interventions.csv").write_text(
        "account_id,occurred_at,play\nA-0001,2024-06-01,QBR\nA-0004,2024-06-02,QBR\n",
        encoding="utf-8",
    )
    text = project.path.read_text(encoding="utf-8").replace(
        "[signals]", "[tables.interventions]\n[signals]"
    )
    project.path.write_text(text, encoding="utf-8")
    project = load_project(project.path)
    call_book(project.folder).record(
        [
            # The same play on the same day is one act.
            entry("A-0001", done_at=datetime(2024, 6, 1, 15), play="qbr"),
            entry("A-0002", done_at=datetime(2024, 6, 3)),
        ]
    )
    frame = pd.DataFrame(
        {
            "account_id": [f"A-000{number}" for number in range(5)],
            "observation_date": pd.Timestamp("2024-06-01"),
        }
    )
    with open_company(project) as held:
        acts = acts_after(held, frame, 30)
    assert acts is not None
    days = {play: one.tolist() for play, one in acts.days.items()}
    assert [day == day for day in days["qbr"]] == [False, True, False, False, True]
    assert [day == day for day in days["call"]] == [False, False, True, False, False]
