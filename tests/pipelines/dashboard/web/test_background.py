from __future__ import annotations

import asyncio
import threading

import pytest

from features.errors import DataError
from pipelines.dashboard.access.notes import WITHHELD, Note
from pipelines.dashboard.web.background import UNEXPECTED, Background, Done, ready


@pytest.fixture
def work():
    made = Background[int]("test", threads=2, keep=3, waiting=4)
    yield made
    made.close()


def test_work_is_done_once_per_key_whoever_asks(work) -> None:
    begun, go = [], threading.Event()

    def slow() -> int:
        begun.append(1)
        go.wait(10)
        return 7

    asked = [work.ask("a", slow) for _ in range(5)]
    go.set()
    assert {one.result().value for one in asked} == {7}
    assert begun == [1]
    assert work.ask("a", slow).result() == Done(7)
    assert begun == [1]


def test_a_failure_is_a_sentence_and_is_told_for_a_while(work, caplog) -> None:
    begun = []

    def fails() -> int:
        begun.append(1)
        raise DataError("The table 'x' is gone; bring it back")

    note = Note(WITHHELD, "The table 'x' is gone; bring it back")
    assert work.ask("a", fails).result() == Done(failure=note)
    work.ask("a", fails).result()
    assert begun == [1]
    work.failed_seconds = -1.0
    work.ask("a", fails).result()
    assert begun == [1, 1]
    assert work.ask("b", lambda: 1 // 0).result() == Done(failure=UNEXPECTED)
    assert "ZeroDivisionError" in caplog.text


def test_what_was_asked_for_longest_ago_is_forgotten(work) -> None:
    begun = []

    def of(key: str) -> int:
        return work.ask(key, lambda: len(begun.append(key) or begun)).result().value

    for key in ("a", "b", "c"):
        of(key)
    of("a")
    of("d")
    assert begun == ["a", "b", "c", "d"]
    of("a")
    of("b")
    assert begun == ["a", "b", "c", "d", "b"]


def test_too_much_work_is_turned_away_but_what_is_known_is_not(work) -> None:
    go = threading.Event()
    for key in range(4):
        assert work.ask(key, lambda: go.wait(10)) is not None
    assert work.ask("one too many", lambda: 1) is None
    assert work.ask(0, lambda: 1) is not None
    go.set()
    work.ask(3, lambda: 1).result()
    assert work.ask("later", lambda: 1) is not None


def test_a_value_is_good_for_some_seconds() -> None:
    made = Background[int]("test", threads=1, keep=3, waiting=4, seconds=-1.0)
    begun = []
    for _ in range(2):
        made.ask("a", lambda: begun.append(1) or 1).result()
    assert begun == [1, 1]
    made.close()


def test_waiting_ends_in_time_and_holds_nobody(work) -> None:
    go = threading.Event()
    slow = work.ask("a", lambda: go.wait(10) and 5)

    async def twice() -> list[Done[int] | None]:
        early = await ready(slow, 0.01)
        go.set()
        return [early, await ready(slow, 10)]

    assert asyncio.run(twice()) == [None, Done(5)]


def test_closing_drops_what_has_not_begun() -> None:
    made = Background[int]("test", threads=1, keep=9, waiting=9)
    go = threading.Event()
    made.ask("a", lambda: go.wait(10) and 1)
    late = made.ask("b", lambda: 2)
    made.close()
    go.set()
    assert late.cancelled()
    assert asyncio.run(ready(late, 1)) is None
