"""Threads that work on a stream: order, bounded memory, and what happens when something breaks."""

from __future__ import annotations

import threading

import pytest

from pipelines.reports.terminal.ordered_work import in_order, usable_cores


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    gates = [threading.Event() for _ in range(20)]

    def work(number: int) -> int:
        # With two or more at work, even numbers wait until the next one has begun.
        if workers > 1 and number % 2 == 0:
            assert gates[number + 1].wait(10)
        gates[number].set()
        return number * number

    assert list(in_order(work, range(20), workers)) == [n * n for n in range(20)]


def test_few_items_are_fetched_ahead() -> None:
    fetched = 0

    def items():
        nonlocal fetched
        for number in range(100):
            fetched += 1
            yield number

    results = in_order(lambda number: number, items(), 3)
    for taken in range(50):
        assert next(results) == taken
        assert fetched <= taken + 1 + 3
    results.close()
    assert fetched < 60


def test_an_exception_of_the_work_arrives_in_its_place() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = in_order(work, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_an_exception_of_the_items_ends_the_stream() -> None:
    def items():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(in_order(lambda number: number, items(), 2))


def test_cores() -> None:
    assert usable_cores() >= 1
