"""The command line on PostgreSQL and Spark: the same answers, and servers that go away."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pyarrow.parquet as pq
import pytest

from tests.features.servers import JAVA, PostgresServer, running_postgres, write_postgres

# Stops before the first table is counted, says so, and goes on when told to.
PAUSE = """
import sys, features.tables.company as company
inspect, seen = company.inspect_table, []
def told(*given):
    seen.append(1)
    if len(seen) == 1:
        print("in the engine", flush=True, file=sys.__stdout__)
        sys.stdin.readline()
    return inspect(*given)
company.inspect_table = told
"""
KEPT = ("accounts]", "subscriptions]", "usage_events]")
Spawn = Callable[..., subprocess.Popen[str]]
on_postgres = [pytest.mark.postgres, pytest.mark.xdist_group("postgres")]
on_spark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


@pytest.fixture(scope="module")
def server(simulated: Path) -> Iterator[PostgresServer]:
    """A server that holds the simulated company."""
    with running_postgres() as server:
        with server.connect() as admin:
            for file in sorted(simulated.glob("*.parquet")):
                write_postgres(admin, f'"{file.stem}"', pq.read_table(file))
        yield server


@pytest.fixture(scope="module")
def drafted(simulated: Path, run: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of the configuration of the simulated company."""
    config = tmp_path_factory.mktemp("drafted") / "healthscore.toml"
    run("init", simulated, "-c", config, "--json").answer  # noqa: B018
    return config.read_text(encoding="utf-8")


def configured(drafted: str, url: str, folder: Path) -> Path:
    lines = drafted.splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("url = "))
    lines[number] = f"url = {json.dumps(url, ensure_ascii=False)}"
    config = folder / "healthscore.toml"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def wait_for_the_pause(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "in the engine\n"


@pytest.mark.parametrize("name", [pytest.param("postgres", marks=on_postgres)])
def test_check_says_the_same_on_every_engine(
    name: str, server: PostgresServer, drafted: str, simulated: Path, tmp_path: Path, run: Any
) -> None:
    (tmp_path / "duckdb").mkdir()
    expected = run(
        "check", "-c", configured(drafted, str(simulated), tmp_path / "duckdb"), "--json"
    ).answer
    found = run("check", "-c", configured(drafted, server.url(), tmp_path), "--json").answer
    assert (found.pop("engine"), expected.pop("engine")) == ("PostgreSQL (run)", "DuckDB (run)")
    assert found == expected


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.xdist_group("postgres")
def test_a_server_is_drafted_as_its_files_are(
    server: PostgresServer, drafted: str, tmp_path: Path, run: Any, monkeypatch: Any
) -> None:
    config = tmp_path / "healthscore.toml"
    refused = run("init", server.url(), "-c", config)
    assert (refused.code, config.exists()) == (2, False)
    assert "the configuration is no place for one; give it as ${NAME}" in refused.err
    assert server.PASSWORD not in refused.err
    monkeypatch.setenv("CRM", server.url())
    assert run("init", "${CRM}", "-c", config).code == 0
    assert tables_of(config.read_text("utf-8")) == tables_of(drafted)
    assert run("check", "-c", config).code == 0


def tables_of(text: str) -> Any:
    return tomllib.loads(text)["tables"]


@pytest.mark.postgres
@pytest.mark.xdist_group("postgres")
def test_a_model_taught_from_postgres_holds_no_password(
    server: PostgresServer, drafted: str, tmp_path: Path, run: Any
) -> None:
    hostile = server.url()
    # Three tables, as planning signals is what takes long; every table comes by the same way.
    sections = re.split(r"\n(?=\[)", drafted)
    few = [
        part for part in sections if not part.startswith("[tables.") or part[8:].startswith(KEPT)
    ]
    assert len(sections) - len(few) > 5
    config = configured("\n".join(few), hostile, tmp_path)
    old = f"# before: {hostile}"
    config.write_text(config.read_text("utf-8") + old + "\n", encoding="utf-8")
    ran = run("train", "-c", config, "--json")
    assert ran.answer["model_version"] == "1"
    secrets = {form.encode() for form in (server.PASSWORD, quote(server.PASSWORD, safe=""))}
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != config]
    stored = [path for path in kept if path.name == "healthscore.toml"]
    assert len(stored) >= 1
    assert all("postgresql://postgres:***@/" in path.read_text("utf-8") for path in stored)
    for path in kept:
        content = path.read_bytes()
        assert not any(secret in content for secret in secrets), path
    assert server.PASSWORD not in ran.out + ran.err
    # The person's own file keeps what it says.
    assert quote(server.PASSWORD, safe="") in config.read_text("utf-8")


@pytest.mark.postgres
@pytest.mark.xdist_group("postgres")
@pytest.mark.parametrize(
    ("command", "ends"), [("check", "backend"), ("train", "backend"), ("score", "server")]
)
def test_a_server_that_goes_away_is_exit_3_and_nothing_written(
    command: str, ends: str, server: PostgresServer, project: Any, spawn: Spawn
) -> None:
    configured(project.config.read_text("utf-8"), server.url(), project.folder)
    before = files_under(project.folder)
    process = spawn(command, "-c", project.config, before=PAUSE, stdin=subprocess.PIPE)
    wait_for_the_pause(process)
    if ends == "backend":
        with server.connect() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'healthscore'"
            )
    else:
        server.stop()
    try:
        out, err = process.communicate("go on\n")
    finally:
        if ends == "server":
            server.start()
    assert process.returncode == 3, err
    assert out == ""
    sentence = err.splitlines()[-1]
    assert re.fullmatch(
        r"healthscore: Table '\w+' of the source 'postgresql://postgres:\*\*\*@/postgres\?[^']+'"
        r" cannot be read: (terminating connection due to administrator command"
        r"|(consuming input failed: )?server closed the connection unexpectedly)"
        r"; repair the table or the connection and run again",
        sentence,
    ), sentence
    assert "Traceback" not in err
    assert server.PASSWORD not in err
    assert files_under(project.folder) == before


@pytest.mark.spark
@pytest.mark.xdist_group("spark")
def test_a_spark_that_dies_is_exit_3_and_nothing_written(tmp_path: Path, spawn: Spawn) -> None:
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    if shutil.which("java") is None:
        pytest.skip("no Java is installed")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.csv").write_text("account_id,created_at\nA,2023-01-01\n")
    (tmp_path / "data" / "churn_events.csv").write_text("account_id,churned_at\nA,2024-01-01\n")
    config = tmp_path / "healthscore.toml"
    config.write_text(
        '[source]\nurl = "spark://?master=local[1]&folder=data"\n'
        "[tables.accounts]\n[tables.churn_events]\n"
    )
    before = files_under(tmp_path)
    process = spawn(
        *("train", "-c", config),
        **{
            "before": PAUSE,
            "env": {"JDK_JAVA_OPTIONS": JAVA},
            "stdin": subprocess.PIPE,
            "cwd": tmp_path,
        },
    )
    wait_for_the_pause(process)
    java = [child for child in psutil.Process(process.pid).children(True) if "java" in child.name()]
    assert java
    for child in java:
        child.kill()
    out, err = process.communicate("go on\n")
    assert process.returncode == 3, err
    assert out == ""
    assert err.splitlines()[-1] == (
        "healthscore: Table 'accounts' of the source 'spark://?master=local[1]&folder=data' cannot"
        " be read: the Java process of Spark has ended; repair the table or the connection and run"
        " again"
    )
    assert "Traceback" not in err
    assert "pandas" not in err
    assert files_under(tmp_path) == before
