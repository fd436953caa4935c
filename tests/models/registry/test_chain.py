"""Promotions that are killed, meet a rival, or sleep too long."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from features.errors import RegistryError
from models.registry import chain as promotion_chain
from models.registry import chain_record as promotion_record
from models.registry.chain import move_champion, recovered_chain
from models.registry.champions import history, promote
from models.registry.folder import CHAMPION
from models.registry.models import Registry
from models.registry.session import tracking
from tests.models.promotions import NAME, aliases, back, copied, go, told

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.xdist_group("champions"),
]
PATIENCE = 120
"""Seconds after which a child has died, or waits for ever."""
WRITES = (
    "create_run",
    "log_param",
    "set_registered_model_alias",
    "set_registered_model_alias",
    "set_terminated",
    "set_tag",
)


@pytest.fixture
def folder(registered, tmp_path, monkeypatch) -> Path:
    """A copy to play with, which reads the models' files where they were made."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return copied(registered, tmp_path / "runs")


MOMENTS = [(step, False) for step in range(len(WRITES))] + [(len(WRITES) - 1, True)]


def test_registries_from_before_there_were_records(folder):
    """A champion whose alias was set without one is recorded from the next move on."""
    with tracking(folder, NAME, create=False):
        client = MlflowClient()
        for record in recovered_chain(NAME):
            client.delete_run(record.run_id)
    assert told(folder) == []
    assert history(folder, NAME).versions[0].became == "champion"
    with tracking(folder, NAME, create=False):
        move_champion(NAME, "2", action="train")
    assert told(folder) == [("train", "2", "1", "done")]
    assert history(folder, NAME).records[0].number == 2
    assert back(folder) == "1"


def test_a_champion_that_came_in_meanwhile_is_not_overwritten(folder):
    go(folder, "3", "1")
    with pytest.raises(RegistryError) as refused:
        go(folder, "2", "1")
    assert str(refused.value) == (
        "Version 2 of 'health' was judged against version 1, but version 3 became the champion"
        " meanwhile; it stays as it is: run again to be judged against the champion of now."
    )
    with pytest.raises(RegistryError, match="Version 3 of 'health' is the champion already; "):
        go(folder, "3", "3")
    assert aliases(folder)[CHAMPION] == "3"


@contextmanager
def child(work: Callable[[], None]) -> Iterator[int]:
    """Fork a process that does some work with databases of its own."""
    made = os.fork()
    if not made:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    try:
        yield made
    finally:
        with suppress(ProcessLookupError):
            os.kill(made, signal.SIGKILL)
        os.waitpid(made, 0)


def told_by(end: int) -> bytes:
    """Return the next byte a child sends; one that died, or waits for ever, sends none."""
    assert select.select([end], [], [], PATIENCE)[0], "a child says nothing"
    return os.read(end, 1)


def dying(move: Callable[[], object], step: int, after: bool) -> Callable[[], None]:
    """Let a process die by SIGKILL just before, or just after, one of its writes."""
    left = step

    def deadly(name: str) -> Callable[..., object]:
        real = getattr(MlflowClient, name)

        def call(self, *arguments, **options):
            nonlocal left
            left -= 1
            if left < 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(self, *arguments, **options)
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    def work() -> None:
        for name in set(WRITES):
            setattr(MlflowClient, name, deadly(name))
        move()

    return work


def killed(work: Callable[[], None]) -> None:
    made = os.fork()
    if not made:
        try:
            work()
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(made, 0)[1])


def killed_promotion(folder: Path, step: int, after: bool) -> None:
    killed(dying(lambda: go(folder), step, after))


@pytest.mark.parametrize(
    ("step", "after"),
    MOMENTS,
    ids=[f"{'after' if a else 'before'} {s} {WRITES[s]}" for s, a in MOMENTS],
)
def test_killed_at_any_step_somebody_serves_and_the_record_says_who(folder, step, after):
    killed_promotion(folder, step, after)
    # Nothing has been settled yet: scoring goes on with whoever the alias names.
    moved = step > 3
    assert Registry(folder, NAME).champion().version == ("2" if moved else "1")
    found = history(folder, NAME)
    assert found.serving == ("2" if moved else "1")
    assert found.previous == ("1" if moved else None)
    assert found.notes == ()
    attempts = {record.state for record in found.records if record.version == "2"}
    # Before it has a place in the chain an attempt is nothing.
    assert attempts == ({"done"} if moved else {"abandoned"} if step > 1 else set())
    assert found.versions[1].became == ("champion" if moved else "registered")
    # And on it goes, from where it stands.
    if moved:
        assert back(folder) == "1"
    else:
        go(folder)
    assert Registry(folder, NAME).champion().version == ("1" if moved else "2")
    assert all(record.state != "open" for record in history(folder, NAME).records)


def test_settling_can_be_killed_too(folder):
    killed_promotion(folder, 3, False)
    for step in range(2):
        killed(dying(lambda: history(folder, NAME), step, after=True))
    found = history(folder, NAME)
    assert (found.serving, found.previous) == ("1", None)
    assert [record.state for record in found.records] == ["done", "abandoned"]


def test_while_one_is_under_way_another_says_so(folder):
    """A promotion that is stopped half-way holds others back; killed, it does not."""
    reading, writing = os.pipe()

    def stops(*arguments: object) -> None:
        os.write(writing, b"!")
        signal.pause()

    def work() -> None:
        MlflowClient.set_registered_model_alias = stops
        go(folder)

    with child(work) as busy:
        assert told_by(reading) == b"!"
        with pytest.raises(RegistryError) as refused:
            go(folder, "3")
        assert str(refused.value) == (
            f"Version 2 of 'health' is just now made the champion by {promotion_record.user()!r}"
            f" on {os.uname().nodename!r}; wait for it and run again."
        )
        found = history(folder, NAME)
        assert found.serving == "1"
        assert [note for note in found.notes if "is just now made the champion" in note]
        os.kill(busy, signal.SIGKILL)
    go(folder, "3")
    assert told(folder)[1:] == [("promote", "2", "1", "abandoned"), ("promote", "3", "1", "done")]


def test_of_two_at_the_same_moment_one_wins_and_the_other_says_so(folder):
    """Both have seen nobody else when each takes its place."""
    gates = [os.pipe() for _ in range(2)]
    ready, heard = os.pipe(), os.pipe()
    real = MlflowClient.log_param

    def works(number: int) -> Callable[[], None]:
        def held(self, *arguments: object) -> object:
            os.write(ready[1], b"r")
            os.read(gates[number][0], 1)
            return real(self, *arguments)

        def work() -> None:
            MlflowClient.log_param = held
            try:
                go(folder, str(2 + number))
                os.write(heard[1], f"{2 + number} won\n".encode())
            except RegistryError as error:
                os.write(heard[1], f"{error}\n".encode())

        return work

    # Each is about to take its place before the other has taken one.
    with child(works(0)):
        assert told_by(ready[0]) == b"r"
        with child(works(1)):
            assert told_by(ready[0]) == b"r"
            for gate in gates:
                os.write(gate[1], b"g")
            lines = b""
            while lines.count(b"\n") < 2:
                lines += told_by(heard[0])
    lines = lines.decode().splitlines()
    won = [line for line in lines if line.endswith(" won")]
    assert (len(won), len(lines)) == (1, 2)
    winner = won[0][0]
    lost = next(line for line in lines if line not in won)
    assert lost == (
        f"Version {winner} of 'health' came first: {promotion_record.user()!r} on"
        f" {os.uname().nodename!r} decided about it at the same moment; look at 'healthscore"
        " history' and run again."
    )
    found = history(folder, NAME)
    assert found.serving == winner
    assert told(folder) == [("train", "1", None, "done"), ("promote", winner, "1", "done")]


def test_an_unfinished_one_of_another_machine_is_left_alone_for_its_lease(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(promotion_record.socket, "gethostname", lambda: "elsewhere")
        killed_promotion(folder, 3, False)
    with pytest.raises(RegistryError, match=r"is just now made the champion by .* on 'elsewhere'"):
        go(folder, "3")
    later = datetime.now(UTC) + promotion_record.LEASE + timedelta(seconds=1)
    monkeypatch.setattr(promotion_record, "now", lambda: later)
    go(folder, "3")
    assert told(folder)[1:] == [("promote", "2", "1", "abandoned"), ("promote", "3", "1", "done")]


def test_one_that_was_given_up_by_others_does_not_move_the_alias(folder, monkeypatch):
    """It slept longer than its lease; somebody settled it before it woke."""
    real = promotion_chain._point

    def sleeps(client, name, alias, version):
        real(client, name, alias, version)
        record = promotion_chain.recovered_chain(name)[-1]
        client.set_tag(record.run_id, "healthscore.state", "abandoned")

    monkeypatch.setattr(promotion_chain, "_point", sleeps)
    with pytest.raises(RegistryError, match="took so long that another command gave it up"):
        go(folder)
    assert aliases(folder)[CHAMPION] == "1"


def test_a_clock_that_goes_backwards_is_told_and_changes_no_order(folder, monkeypatch):
    before = datetime.now(UTC) - timedelta(days=400)
    with monkeypatch.context() as patch:
        patch.setattr(promotion_record, "now", lambda: before)
        record = go(folder)
    assert record.reasons[-1].startswith(f"The clock of {os.uname().nodename!r} stood at 20")
    assert "UTC, before the record above it (" in record.reasons[-1]
    assert [found.version for found in history(folder, NAME).records] == ["1", "2"]
    assert back(folder) == "1"
    assert [found.number for found in history(folder, NAME).records] == [1, 2, 3]


def test_hostile_and_endless_reasons_are_kept_within_bounds(folder):
    reasons = ["<script>alert('ø')</script>" + '\x1b\u202e"' * 5000] * 50
    record = promote(folder, NAME, "2", instead_of="1", reasons=reasons)
    found = history(folder, NAME).records[-1]
    assert found.reasons == record.reasons
    assert len(found.reasons) == promotion_record.MOST_REASONS
    assert {len(reason) for reason in found.reasons} == {promotion_record.LONGEST_REASON}


def test_a_record_that_was_tampered_with_is_named(folder):
    with tracking(folder, NAME, create=False):
        record = recovered_chain(NAME)[0]
        MlflowClient().set_tag(record.run_id, "healthscore.number", "one")
    message = f"The promotion record of run {record.run_id} cannot be read .*ValueError"
    with pytest.raises(RegistryError, match=message):
        history(folder, NAME)
