"""Runs of scores to issue, and stores of every kind to issue them into."""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from features.errors import StoreError
from features.sources.lake.log import DeltaLog
from pipelines.project.erase.runs import changes_of
from pipelines.project.project import Project, load_project
from pipelines.store.base import ScoreStore
from pipelines.store.opening import open_store
from pipelines.store.runs import AlreadyIssued, Run, RunKey
from pipelines.store.schema import ADDED_COLUMNS, DECIMALS, POINT_COLUMNS, SCORE_SCHEMA
from pipelines.store.writer import RunWriter
from tests.features.servers import PostgresServer

DAY = date(2025, 1, 1)
KEY = RunKey("main", DAY, "1")
PATIENCE = 120
"""Seconds after which a process waits for ever."""
GROUPS_OF = {"logins": "usage", "tickets": "support", "plan": "profile"}
FACTS = {"data": "abc", "config": 'a "b"\nc'}
STORES = [
    "duckdb",
    "parquet",
    pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.xdist_group("postgres")]),
]


def batch(accounts: Sequence[str], seed: int = 0, **given: Any) -> pa.RecordBatch:
    """Scores of some accounts, with 0 to 3 reasons each and gaps where there may be some.

    Numbers have no more decimals than a store keeps, so that they come back as they are.
    """
    random = np.random.default_rng(seed)
    count = len(accounts)
    named = random.integers(0, 4, count)
    signals = [list(GROUPS_OF)[:length] for length in named]
    columns: dict[str, Any] = {
        "account_id": list(accounts),
        "segment": ["small", "large"] * (count // 2) + ["small"] * (count % 2),
        "score": np.round(random.random(count) * 100, DECIMALS["score"]),
        "band": random.choice(["at-risk", "watch", "healthy"], count).tolist(),
        "grade": ["C"] * count,
        "probability": np.round(random.random(count), DECIMALS["probability"]),
        "coverage": np.round(random.random(count), DECIMALS["coverage"]),
        "baseline_score": [50.0] * count,
        **{name: np.round(random.standard_normal(count), DECIMALS[name]) for name in POINT_COLUMNS},
        "mrr": [None if row % 3 == 0 else 10.0 * row for row in range(count)],
        "reason_signals": signals,
        "reason_points": [
            np.round(random.standard_normal(len(row)), DECIMALS["reason_points"]).tolist()
            for row in signals
        ],
        "reason_values": [[None, "1.5", 'a "b", \\c\n{d}'][: len(row)] for row in signals],
        **{name: [None if row % 4 == 3 else 0.5 for row in range(count)] for name in ADDED_COLUMNS},
    }
    columns |= given
    return pa.RecordBatch.from_pydict(columns, SCORE_SCHEMA)


def configured(folder: Path, url: str, more: str = "") -> Project:
    """A project whose scores go to some place; more lines of ``[store]`` may follow."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "healthscore.toml"
    tables = '[source]\nurl = "data"\n[tables.accounts]\n[tables.labels]\n'
    text = f"{tables}[store]\nurl = {json.dumps(url, ensure_ascii=False)}\n{more}"
    path.write_text(text, encoding="utf-8")
    return load_project(path)


def fresh(
    kind: str, folders: pytest.TempPathFactory, server: PostgresServer | None = None
) -> Project:
    """A project whose scores go to a place of some kind where none are yet."""
    # DuckDB takes what follows a question mark for the options of an address.
    mark = "" if kind == "duckdb" else "?"
    folder = folders.mktemp(f"it's [a] *folder{mark} 100%")
    url = {"duckdb": "made/for/scores.duckdb", "parquet": "made/for/scores/"}.get(kind)
    if url is None:
        assert server is not None
        url = server.url(schema=f'It\'s "a" schema {uuid4().hex}')
    return configured(folder, url)


@contextmanager
def issuing(
    project: Project, key: RunKey = KEY, *, force: bool = False
) -> Iterator[tuple[ScoreStore, RunWriter]]:
    with (
        open_store(project, read_only=False) as store,
        store.issue(key, GROUPS_OF, force=force) as writer,
    ):
        yield store, writer


def issue(
    project: Project,
    *batches: pa.RecordBatch,
    key: RunKey = KEY,
    force: bool = False,
    facts: Mapping[str, str] = FACTS,
) -> Run:
    """Issue a run from its first batch to its end."""
    with issuing(project, key, force=force) as (_, writer):
        for rows in batches:
            writer.write(rows)
        return writer.finish(facts)


def erase(project: Project, account: str, tombstone: str = "erased-00ff") -> int:
    """Erase an account from every run, and return how many were changed."""
    with open_store(project, read_only=False) as store:
        moment = datetime(2025, 3, 1, 9, 30)
        changes = changes_of(store, account, tombstone, moment, lambda facts: facts)
        store.write_erased(changes, account)
    return len(changes)


def read(project: Project, key: RunKey = KEY) -> pa.Table:
    """Read the newest revision of a run."""
    with open_store(project, read_only=True) as store:
        run = store.newest(key)
        assert run is not None
        return store.scores(run).read_all()


def contents(project: Project) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Everything a store holds but the moments of issue."""
    with open_store(project, read_only=True) as store:
        return {
            (run.key, run.revision, run.rows, json.dumps(dict(run.facts))): store.scores(run)
            .read_all()
            .to_pylist()
            for run in store.runs()
        }


VIEWS = [
    ("select count(*), min(revision), max(model_version) from latest_scores", (2, 2, "2")),
    ("select count(*) from scores where outcome = 'main'", (4,)),
    (
        "select signal, signal_group, value from score_reasons where account_id = 'A'"
        " and model_version = '2' and rank = 2",
        ("tickets", "support", None),
    ),
    ("select sum(rows), max(revision) from runs", (6, 2)),
]


def issue_for_views(project: Project) -> None:
    reasons = {
        "reason_signals": [["plan", "tickets"], []],
        "reason_points": [[2.0, 1.0], []],
        "reason_values": [["pro", None], []],
    }
    issue(project, batch(["Z"]), key=KEY)
    for number in range(2):
        rows = batch(["A", "B"], seed=number, **reasons)
        issue(project, rows, key=RunKey("main", DAY, "2"), force=bool(number))
    issue(project, batch(["O"]), key=RunKey("main", DAY.replace(year=2024), "3"))


class Nursery:
    """A process that has all imported, whose children issue runs and may be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from tests.pipelines.issued import nurse; nurse()"],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What lies in a buffer of this process would not wake who waits for the pipe.
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.orders, self.told = self.process.stdin, self.process.stdout

    def start(self, project: Project, key: RunKey, batches: int, rows: int, **options: Any) -> int:
        """Start a child that issues a run and return its process id."""
        order = {"config": str(project.path), "key": [key.outcome, str(key.as_of)]}
        order |= {"version": key.model_version, "batches": batches, "rows": rows, **options}
        self.orders.write(json.dumps(order).encode() + b"\n")
        self.orders.flush()
        return int(self.line())

    def line(self) -> str:
        """Wait for the next that is told: how a child stopped or ended, and its last words."""
        assert select.select([self.told], [], [], PATIENCE)[0], "the nursery says nothing"
        return self.told.readline().decode().removesuffix("\n")

    def killed(self, child: int, seconds: float) -> str:
        """Kill a child when some time is over, unless it ends before."""
        ended, _, _ = select.select([self.told], [], [], seconds)
        if not ended:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return self.line()

    def close(self) -> None:
        self.orders.close()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.told.close()


def rows_of(number: int, rows: int) -> pa.RecordBatch:
    """The batch of some number of a run in the nursery."""
    return batch([f"A{number * rows + row:07d}" for row in range(rows)], seed=number)


def nurse() -> None:
    """Fork a child for each order; a child that waits is stopped and goes on when continued."""
    for engine in ("duckdb", "parquet", "postgres"):
        importlib.import_module(f"pipelines.store.{engine}")
    with suppress(ImportError):
        import psycopg  # noqa: F401
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _obey(json.loads(line))
        print(child, flush=True)
        while True:
            _, status = os.waitpid(child, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                break
            print("waits", flush=True)
        ended = os.WIFSIGNALED(status)
        print("killed" if ended else f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


def killed_at(call: str, number: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed just before a call of the system.

    Returns whether it was: the work may come to its end before so many calls.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            _die_at(call, number)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the work failed"
    return status == signal.SIGKILL


def _die_at(call: str, number: int, of: object = os, *, after: bool = False) -> None:
    real, left = getattr(of, call), [number]

    def dying(*given: object, **told: object) -> object:
        left[0] -= 1
        if after:
            real(*given, **told)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return None if after else real(*given, **told)

    setattr(of, call, dying)


class Dying:
    """A connection whose process dies just before one of its calls."""

    def __init__(self, connection: Any, call: str, number: int) -> None:
        self.connection, self.call, self.left = connection, call, number

    def __getattr__(self, name: str) -> Any:
        self.left -= name == self.call
        if name == self.call and not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self.connection, name)


def _obey(order: dict[str, Any]) -> None:
    outcome, day = order["key"]
    key = RunKey(outcome, date.fromisoformat(day), order["version"])
    project = load_project(Path(order["config"]))
    code = 0
    if "dies" in order:
        connect = duckdb.connect
        duckdb.connect = lambda *given, **told: Dying(connect(*given, **told), *order["dies"])
    if "dies_at" in order:
        _die_at(*order["dies_at"])
    if "dies_at_log" in order:
        call, after = order["dies_at_log"]
        _die_at(call, 1, DeltaLog, after=after)
    try:
        if "erases" in order:
            erase(project, order["erases"])
            os._exit(0)
        with issuing(project, key) as (_, writer):
            if "room" in order:
                resource.setrlimit(resource.RLIMIT_FSIZE, (order["room"], resource.RLIM_INFINITY))
            for number in range(order["batches"]):
                writer.write(rows_of(number, order["rows"]))
                if order.get("waits") == number:
                    os.kill(os.getpid(), signal.SIGSTOP)
            writer.finish(FACTS)
    except StoreError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        Path(order["config"]).with_name("said.txt").write_text(str(error), encoding="utf-8")
        code = 7 if isinstance(error, AlreadyIssued) else error.exit_code
    os._exit(code)
