"""The score store: locked, broken or somebody else's, it is left as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from features.catalog import GROUPS
from features.errors import StoreError
from pipelines.store import read_reasons, read_scores, write_scores

DAY = date(2025, 1, 1)
HOLD = """
import duckdb, sys
held = duckdb.connect(sys.argv[1])
held.execute("create table if not exists t as select 1 as x")
print("held", flush=True)
sys.stdin.read()
"""


def rows(*accounts: str, score: float = 50.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    scores = pd.DataFrame({"account_id": list(accounts), "segment": "all", "score": score})
    scores = scores.assign(band="watch", probability=0.1, coverage=1.0, baseline_score=50.0)
    scores = scores.assign(**{f"points_{group}": 0.0 for group in GROUPS}, mrr=float("nan"))
    reasons = pd.DataFrame({"account_id": list(accounts), "rank": 1, "signal": "plan"})
    return scores, reasons.assign(signal_group="profile", value=None, points=-1.5)


WRITE = """
import os, resource, signal, sys
from datetime import date
import pandas as pd
import pipelines.store as store
call, number, ending, room, file, *frames = sys.argv[1:]
connect = store.duckdb.connect
class Dying:
    def __init__(self, connection):
        self.connection, self.left = connection, int(number)
    def __getattr__(self, name):
        self.left -= name == call
        if name == call and not self.left:
            os.kill(os.getpid(), int(ending))
        return getattr(self.connection, name)
def watched(*arguments, **options):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), resource.RLIM_INFINITY))
    return Dying(connect(*arguments, **options))
store.duckdb.connect = watched
scores, reasons = map(pd.read_parquet, frames)
try:
    store.write_scores(store.Path(file), scores, reasons, as_of=date(2025, 1, 1), model_version="1")
except store.StoreError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def write_elsewhere(tmp_path: Path):
    """Write 20,000 scores in a process that is signalled before a call, or has little room."""

    def write(file: Path, call: str = "", number: int = 0, ending: int = 0, room: int = -1):
        scores, reasons = rows(*(f"A{n}" for n in range(20_000)))
        frames = [tmp_path / "scores.parquet", tmp_path / "reasons.parquet"]
        for frame, path in zip((scores, reasons), frames, strict=True):
            frame.to_parquet(path)
        return subprocess.run(
            [
                sys.executable,
                "-c",
                WRITE,
                call,
                str(number),
                str(int(ending)),
                str(room),
                file,
                *frames,
            ],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=False,
        )

    return write


@pytest.mark.parametrize(
    ("call", "number", "ending", "kept"),
    [
        ("execute", 5, signal.SIGKILL, 0),
        ("commit", 1, signal.SIGKILL, 0),
        ("commit", 1, signal.SIGINT, 0),
        ("close", 1, signal.SIGKILL, 20_000),
    ],
)
def test_a_killed_run_has_written_all_or_nothing(
    tmp_path: Path, write_elsewhere, call: str, number: int, ending: int, kept: int
) -> None:
    file = tmp_path / "store.duckdb"
    write_scores(file, *rows("A"), as_of=DAY, model_version="0")
    killed = write_elsewhere(file, call, number, ending)
    assert killed.returncode == -ending, killed.stderr
    assert len(read_scores(file, DAY, "1")) == kept
    assert len(read_scores(file, DAY, "0")) == 1
    written = write_scores(file, *rows("A"), as_of=DAY, model_version="1")
    assert written == (0 if kept else 1)


@pytest.mark.parametrize("room", [4_096, 300_000])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_full_disk_has_written_nothing(
    tmp_path: Path, write_elsewhere, room: int, fresh: bool
) -> None:
    file = tmp_path / "store.duckdb"
    if not fresh:
        write_scores(file, *rows("A"), as_of=DAY, model_version="0")
    refused = write_elsewhere(file, room=room)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"The score store '{file}' c")
    assert refused.stderr.count("\n") == 1
    assert "free the disk" in refused.stderr
    if not fresh:
        assert len(read_scores(file, DAY, "0")) == 1
    assert write_scores(file, *rows("B"), as_of=DAY, model_version="1") == 1
    assert read_scores(file, DAY, "1")["account_id"].tolist() == ["B"]


@pytest.fixture
def held(tmp_path: Path):
    """A DuckDB file that another process holds."""
    file = tmp_path / "held.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=-1, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield file
        process.stdin.close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "made" / "for" / "scores.duckdb"
    hostile = "O'Brien\"; drop table scores; --\n\x1b[31m"
    assert write_scores(file, *rows("B", hostile), as_of=DAY, model_version="1") == 2
    found = read_scores(file, DAY, "1")
    assert found["account_id"].tolist() == ["B", hostile]
    assert found["mrr"].isna().all()
    reasons = read_reasons(file, DAY, "1", [hostile])
    assert reasons["account_id"].tolist() == [hostile]
    assert reasons["points"].tolist() == [-1.5]
    with duckdb.connect(str(file)) as connection:
        unknown = "select count(*) from scores where mrr is null"
        assert connection.execute(unknown).fetchall() == [(2,)]


def test_a_date_and_a_version_are_issued_once(tmp_path: Path) -> None:
    file = tmp_path / "scores.duckdb"
    assert write_scores(file, *rows("A"), as_of=DAY, model_version="1") == 1
    assert write_scores(file, *rows("A", "B", score=1.0), as_of=DAY, model_version="1") == 0
    assert write_scores(file, *rows("A"), as_of=DAY, model_version="2") == 1
    assert write_scores(file, *rows("A"), as_of=date(2025, 1, 2), model_version="1") == 1
    assert read_scores(file, DAY, "1")["score"].tolist() == [50.0]


@pytest.mark.parametrize("broken", ["scores", "reasons"])
def test_one_impossible_row_keeps_all_out(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "scores.duckdb"
    scores, reasons = rows("A", "B")
    if broken == "scores":
        scores.loc[1, "account_id"] = "A"
    else:
        reasons.loc[1, "account_id"] = "A"
    with pytest.raises(StoreError, match=r"could not be used: Constraint Error: .*unchanged"):
        write_scores(file, scores, reasons, as_of=DAY, model_version="1")
    assert write_scores(file, *rows("A"), as_of=DAY, model_version="1") == 1


def test_a_store_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "scores.duckdb"
    with pytest.raises(StoreError, match=r"does not exist; issue scores with 'healthscore score'"):
        read_scores(file, DAY, "1")
    file.write_bytes(b"a spreadsheet, say" * 1000)
    with pytest.raises(StoreError, match=r"cannot be opened: .*not a valid DuckDB database file"):
        write_scores(file, *rows("A"), as_of=DAY, model_version="1")
    assert file.read_bytes() == b"a spreadsheet, say" * 1000
    with pytest.raises(StoreError, match=r"cannot be made: .*(Not a dir|File exists)"):
        write_scores(file / "below.duckdb", *rows("A"), as_of=DAY, model_version="1")
    with pytest.raises(StoreError, match=r"cannot be opened"):
        write_scores(tmp_path, *rows("A"), as_of=DAY, model_version="1")


def test_a_table_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table scores as select 'theirs' as account_id, 3 as points")
    with pytest.raises(StoreError, match=r"could not be used: Binder Error"):
        write_scores(file, *rows("A"), as_of=DAY, model_version="1")
    with duckdb.connect(str(file)) as connection:
        assert connection.execute("from scores").fetchall() == [("theirs", 3)]
        assert connection.execute("show tables").fetchall() == [("scores",)]


def test_a_store_that_another_process_holds_is_refused(held, project, run) -> None:
    text = project.config.read_text(encoding="utf-8")
    project.config.write_text(text.replace('"scores.duckdb"', f'"{held}"'), encoding="utf-8")
    ran = run("score", "-c", project.config)
    assert ran.code == 6
    assert f"The score store '{held}' cannot be opened: " in ran.sentence
    assert "lock" in ran.sentence
    assert ran.sentence.endswith(
        "; close the program that holds it, free the disk or set another [store] file"
    )


def test_a_source_that_another_process_holds_is_refused(held, small, run) -> None:
    config = small()
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"data"', f'"{held}"'), encoding="utf-8")
    for command in ("check", "train"):
        ran = run(command, "-c", config)
        assert ran.code == 3
        assert f"The DuckDB file '{held}' cannot be opened: " in ran.sentence
        assert "lock" in ran.sentence
    ran = run("init", held, "-c", config.parent / "fresh.toml")
    assert ran.code == 3
    assert not (config.parent / "fresh.toml").exists()


def columns_before() -> str:
    """The columns of a store of the earlier form."""
    return ", ".join(f"points_{group} double not null" for group in GROUPS)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A store as it was written before scores had outcomes, with 20,000 scores and reasons."""
    file = tmp_path / "earlier.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "create table scores (account_id varchar not null, as_of date not null,"
            " segment varchar not null, score double not null, band varchar not null,"
            " probability double not null, coverage double not null,"
            f" baseline_score double not null, {columns_before()}, mrr double,"
            " model_version varchar not null, issued_at timestamp not null,"
            " primary key (account_id, as_of, model_version))"
        )
        connection.execute(
            "create table score_reasons (account_id varchar not null, as_of date not null,"
            " model_version varchar not null, rank tinyint not null, signal varchar not null,"
            " signal_group varchar not null, value varchar, points double not null,"
            " primary key (account_id, as_of, model_version, rank))"
        )
        scores, reasons = rows(*(f"A{n}" for n in range(20_000)))
        scores = scores.assign(as_of=DAY, model_version="0", issued_at=datetime(2025, 1, 1, 3))
        reasons = reasons.assign(as_of=DAY, model_version="0")
        connection.register("given_scores", scores)
        connection.register("given_reasons", reasons)
        connection.execute("insert into scores by name select * from given_scores")
        connection.execute("insert into score_reasons by name select * from given_reasons")
    return file


def contents(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        names = [name for (name,) in connection.execute("show tables").fetchall()]
        order = "order by account_id, model_version, rank"
        return {
            name: connection.execute(
                f"select * from {name} {order if 'reasons' in name else order[:-6]}"
            ).fetchall()
            for name in names
        }


def test_a_store_of_the_earlier_form_is_carried_over_whole(earlier: Path) -> None:
    before = contents(earlier)
    with pytest.raises(StoreError, match="written before scores had outcomes; run 'healthscore"):
        read_scores(earlier, DAY, "0")
    with pytest.raises(StoreError, match="which brings it up to date and keeps every score"):
        read_reasons(earlier, DAY, "0", ["A1"])
    assert contents(earlier) == before
    # The run had been issued before: nothing is written, and the store is brought up to date.
    assert write_scores(earlier, *rows("A1"), as_of=DAY, model_version="0") == 0
    after = contents(earlier)
    assert after == {name: [("main", *row) for row in held] for name, held in before.items()}
    assert write_scores(earlier, *rows("A1"), as_of=DAY, model_version="0", outcome="growth") == 1
    assert len(read_scores(earlier, DAY, "0")) == 20_000
    assert read_reasons(earlier, DAY, "0", ["A7"])["account_id"].tolist() == ["A7"]


@pytest.mark.parametrize(
    ("call", "number", "kept"),
    [("execute", 6, False), ("commit", 1, False)],
)
def test_a_store_killed_while_it_is_carried_over_is_the_old_or_the_new_one(
    earlier: Path, write_elsewhere, call: str, number: int, kept: bool
) -> None:
    before = contents(earlier)
    killed = write_elsewhere(earlier, call, number, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if not kept:
        assert contents(earlier) == before
    assert write_scores(earlier, *rows("B"), as_of=DAY, model_version="1") == (0 if kept else 1)
    held = read_scores(earlier, DAY, "0")
    assert (len(held), set(held["outcome"])) == (20_000, {"main"})


def test_outcomes_are_kept_apart(tmp_path: Path) -> None:
    file = tmp_path / "scores.duckdb"
    for outcome, score in (("main", 10.0), ("growth", 90.0)):
        given = rows("A", score=score)
        written = write_scores(file, *given, as_of=DAY, model_version="1", outcome=outcome)
        assert written == 1
        assert write_scores(file, *given, as_of=DAY, model_version="1", outcome=outcome) == 0
    assert read_scores(file, DAY, "1")["score"].tolist() == [10.0]
    assert read_scores(file, DAY, "1", "growth")["score"].tolist() == [90.0]
    assert read_scores(file, DAY, "1", "'; drop table scores --").empty
    assert len(read_reasons(file, DAY, "1", ["A"], "growth")) == 1
