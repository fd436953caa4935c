"""How long those wait who fail to log in."""

from __future__ import annotations

import pytest

from pipelines.dashboard.access import throttle as login_throttle
from pipelines.dashboard.access.throttle import FREE, LONGEST_WAIT, LoginThrottle
from tests.pipelines.dashboard.served import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_waits_double_up_to_five_minutes_and_are_forgotten(clock) -> None:
    throttle = LoginThrottle(clock)
    waits = []
    for _ in range(20):
        throttle.failed("eve", "a")
        waits.append(throttle.wait("eve", "a"))
    assert waits[:10] == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_WAIT
    clock.now += LONGEST_WAIT - 1
    assert throttle.wait("eve", "a") == 1
    clock.now += 3601
    assert throttle.wait("eve", "a") == 0
    throttle.failed("eve", "a")
    assert throttle.wait("eve", "a") == 0


def test_many_addresses_guess_one_user_no_faster(clock) -> None:
    throttle = LoginThrottle(clock)
    for number in range(FREE["user"]):
        throttle.failed("eve", f"address {number}")
    assert throttle.wait("eve", "another") == 1
    assert throttle.wait("ann", "another") == 0


def test_one_address_guesses_many_users_no_faster(clock) -> None:
    throttle = LoginThrottle(clock)
    for number in range(FREE["address"]):
        throttle.failed(f"user {number}", "a")
    assert throttle.wait("eve", "a") == 1
    assert throttle.wait("eve", "b") == 0


def test_a_login_forgets_what_its_user_failed_at_from_there(clock) -> None:
    throttle = LoginThrottle(clock)
    for _ in range(4):
        throttle.failed("eve", "a")
    throttle.succeeded("eve", "a")
    throttle.failed("eve", "a")
    assert throttle.wait("eve", "a") == 0


def test_memory_is_bounded(clock, monkeypatch) -> None:
    monkeypatch.setattr(login_throttle, "MOST", 30)
    throttle = LoginThrottle(clock)
    for number in range(200):
        throttle.failed(f"{number}" * 100, f"address {number}")
        throttle.failed("\udcff", "a")
    assert len(throttle._failed) == 30
    # Whoever still tries is remembered.
    assert throttle.wait("\udcff", "a") > 0
