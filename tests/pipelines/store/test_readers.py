"""A job that writes scores waits for those who read them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.errors import StoreError
from pipelines.store import duckdb as duckdb_store
from pipelines.store.opening import open_store
from tests.pipelines.issued import batch, configured, issue, read

READ = """
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
print("read", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that reads the store of a project."""
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    with subprocess.Popen(
        [sys.executable, "-c", READ, project.store_shown],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "read\n"
        yield process
        if process.stdin is not None:
            process.stdin.close()


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The clock of the store alone: other threads go on by that of the machine."""
    own = SimpleNamespace(monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(duckdb_store, "time", own)
    return own


def test_a_writer_goes_on_when_the_reader_has_let_go(reader, tmp_path, clock) -> None:
    project = configured(tmp_path, "scores.duckdb")
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            reader.stdin.close()
            reader.wait()

    clock.sleep = wait
    issue(project, batch(["A", "B"]), force=True)
    assert waits == [duckdb_store.LOOK_AGAIN_SECONDS] * 3
    assert read(project)["account_id"].to_pylist() == ["A", "B"]


def test_it_does_not_wait_for_ever(reader, tmp_path, clock) -> None:
    project = configured(tmp_path, "scores.duckdb")
    seconds = iter(range(0, 10_000, 7))
    clock.monotonic, clock.sleep = lambda: next(seconds), lambda _: None
    with (
        pytest.raises(
            StoreError, match=r"cannot be opened: .*lock.*; close the program that holds"
        ),
        open_store(project, read_only=False),
    ):
        pass
    assert next(seconds) >= duckdb_store.READERS_SECONDS


def test_readers_do_not_wait_for_each_other(reader, tmp_path, clock) -> None:
    clock.sleep = lambda _: pytest.fail("waited")
    assert read(configured(tmp_path, "scores.duckdb")).num_rows == 1
