"""How long those wait who fail to log in."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from pipelines.dashboard.access.guards import throttle as login_throttle
from pipelines.dashboard.access.guards.throttle import (
    FREE,
    LONGEST_WAIT,
    MOST_OF_ONE,
    MOST_UNDER_WAY,
    SUSPECT,
    LoginThrottle,
)
from tests.pipelines.dashboard.served import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock) -> LoginThrottle:
    return LoginThrottle(clock)


def fail(throttle, clock, user, address) -> float:
    """Wait as long as asked, and fail; return how long that was."""
    wait = throttle.begin(user, address)
    if wait:
        clock.now += wait
        assert throttle.begin(user, address) == 0
    return wait


def test_waits_double_up_to_five_minutes_and_are_forgotten(clock, throttle) -> None:
    waits = [fail(throttle, clock, "eve", "a") for _ in range(20)]
    assert waits[:11] == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_WAIT
    clock.now += LONGEST_WAIT - 1
    assert throttle.begin("eve", "a") == 1
    clock.now += 3601
    assert [fail(throttle, clock, "eve", "a") for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_try_that_has_to_wait_is_not_counted(throttle) -> None:
    for _ in range(5):
        assert throttle.begin("eve", "a") == 0
    assert [throttle.begin("eve", "a") for _ in range(50)] == [1] * 50


def test_capitals_are_no_new_name(throttle) -> None:
    for name in ("eve", "EVE", "Eve", "eVe", "evE"):
        assert throttle.begin(name, "a") == 0
    assert throttle.begin("eVE", "a") == 1


def test_many_addresses_guess_one_user_no_faster(throttle) -> None:
    for number in range(FREE["user"]):
        throttle.begin("eve", f"address {number}")
    assert throttle.begin("eve", "another") == 1
    assert throttle.begin("ann", "another") == 0


def test_one_address_gets_fewer_tries_and_locks_nobody_out(throttle) -> None:
    for number in range(SUSPECT):
        assert throttle.begin(f"user {number}", "a") == 0
    assert [throttle.begin("eve", "a") for _ in range(3)] == [0, 0, 1]
    assert throttle.begin("ann", "a") == 0
    assert [throttle.begin("eve", "b") for _ in range(3)] == [0, 0, 0]


def test_where_somebody_logged_in_others_do_not_hold_them_up(throttle) -> None:
    throttle.begin("eve", "home")
    throttle.succeeded("eve", "home")
    for number in range(FREE["user"]):
        throttle.begin("eve", f"address {number}")
    assert throttle.begin("eve", "home") == 0
    assert throttle.begin("eve", "another") > 0


def test_a_login_takes_back_what_was_counted(clock, throttle) -> None:
    for _ in range(4):
        throttle.begin("eve", "a")
    throttle.begin("eve", "a")
    throttle.succeeded("eve", "a")
    assert [fail(throttle, clock, "eve", "a") for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    for _ in range(1000):
        assert throttle.begin("ann", "b") == 0
        throttle.succeeded("ann", "b")
        assert throttle.begin("bob", "b") == 0
        throttle.unchecked("bob", "b")
    assert [throttle.begin("sue", "b") for _ in range(4)] == [0, 0, 0, 0]


def test_logins_under_way_are_few_and_leave_their_places(throttle) -> None:
    with ExitStack() as held:
        taken = [held.enter_context(throttle.place(f"{n}", "a")) for n in range(MOST_OF_ONE + 2)]
        assert taken == [True] * MOST_OF_ONE + [False] * 2
        for number in range(MOST_UNDER_WAY - MOST_OF_ONE):
            assert held.enter_context(throttle.place("eve", f"b{number // MOST_OF_ONE}"))
        with throttle.place("eve", "elsewhere") as has_place:
            assert not has_place
        # A flood does not keep out who has been there before.
        throttle.begin("ann", "a")
        throttle.succeeded("ann", "a")
        with throttle.place("ann", "a") as has_place:
            assert has_place
    assert not throttle._under_way
    with throttle.place("eve", "a") as has_place:
        assert has_place


def test_memory_is_bounded(monkeypatch, throttle) -> None:
    monkeypatch.setattr(login_throttle, "MOST", 30)
    for number in range(200):
        throttle.begin(f"{number}" * 100, f"address {number}")
        throttle.begin(f"known {number}", f"address {number}")
        throttle.succeeded(f"known {number}", f"address {number}")
        throttle.begin("\udcff", "a")
    assert len(throttle._failed) <= 30
    assert len(throttle._known) == 30
    # Whoever still tries is remembered.
    assert throttle.begin("\udcff", "a") > 0
