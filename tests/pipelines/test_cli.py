"""The command line itself: help, exit codes, and what goes to which stream."""

from __future__ import annotations

import os
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import duckdb
import pytest

from features.errors import (
    DataError,
    EvidenceError,
    HealthscoreError,
    RegistryError,
    SettingsError,
    StoreError,
)

GROUPS = ("user", "token", "experiment", "calls")
COMMANDS = (
    "simulate init check signals features train backtest score verify-run verify-store explain"
    " trend portfolio plays export recommend what-if monitor history rollback demo serve connect"
    " links curve plays digest forecast pack mcp erase export-account writeback compact"
).split()

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"""['"`>]healthscore ([a-z][a-z-]+)""")
WORDY = {".py", ".j2", ".js", ".md", ".toml"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command: str) -> None:
    ran = run(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"{command} [OPTIONS]" in ran.out
    assert "--json" in ran.out


def test_every_command_that_is_named_anywhere_exists() -> None:
    folders = [ROOT / name for name in ("features", "models", "pipelines", "docs", "examples")]
    files = [path for folder in folders for path in folder.rglob("*.*") if path.suffix in WORDY]
    named = {
        (command, path.relative_to(ROOT).as_posix())
        for path in [*files, ROOT / "README.md"]
        for command in NAMED.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert [one for one in sorted(named) if one[0] not in (*COMMANDS, *GROUPS)] == []


def test_it_tells_its_version(run) -> None:
    ran = run("--version")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"healthscore {version('healthscore')}\n"


def test_help_lists_the_commands_and_the_exit_codes(run) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    words = " ".join(ran.out.split())
    for command in COMMANDS:
        assert f" {command} " in words
    kinds = (HealthscoreError, SettingsError, DataError, EvidenceError, RegistryError, StoreError)
    assert {kind.exit_code for kind in kinds} == {1, 2, 3, 4, 5, 6}
    meanings = [
        "1 unexpected failure",
        "2 wrong usage or configuration",
        "7 a run is not as it was issued",
        "10 watch",
        "11 retrain",
        "12 a feed is broken",
        "13 retrained, and the champion stayed",
        "3 the data break the contract",
        "4 too few matured outcomes",
        "5 no usable champion",
        "6 the score store is held or full",
        "130 interrupted",
    ]
    for meaning in ["0 done", *meanings]:
        assert meaning in words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Usage:"),
        (("nonsense",), "No such command 'nonsense'."),
        (("score", "--as-of", "2025-13-45"), "'2025-13-45'"),
        (("score", "--as-off", "2025-01-01"), "--as-off"),
        (("explain",), "Missing argument 'account'."),
        (("simulate", "x", "--accounts", "many"), "'--accounts'"),
    ],
)
def test_wrong_usage_is_exit_2_without_traceback(run, arguments, says: str) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["check", "train", "score"])
def test_without_a_configuration_the_next_step_is_named(run, tmp_path, command: str) -> None:
    ran = run(command, "-c", tmp_path / "healthscore.toml")
    assert ran.code == 2
    assert ran.sentence == (
        f"The configuration '{tmp_path / 'healthscore.toml'}' does not exist; write a draft with"
        " 'healthscore init FOLDER' or name the file with -c"
    )


def test_a_path_below_a_file_is_no_traceback(run, tmp_path) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("", encoding="utf-8")
    ran = run("simulate", occupied / "data", "--accounts", 5, "--months", 6)
    assert ran.code == 3
    assert "could not be written" in ran.sentence
    ran = run("simulate", tmp_path / "data", "--accounts", 0)
    assert ran.code == 2
    assert "'accounts' must be a whole number" in ran.sentence


def test_a_defect_keeps_its_traceback(run, monkeypatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("pipelines.project.project.load_project", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run("check")


def test_memory_that_runs_out_is_one_sentence(run, monkeypatch) -> None:
    def greedy(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pipelines.project.project.load_project", greedy)
    ran = run("check")
    assert (ran.code, ran.sentence) == (
        1,
        "Memory ran out; score fewer accounts or use a larger machine",
    )


def test_a_full_disk_under_standard_output_is_named(small, spawned) -> None:
    with open("/dev/full", "w") as full:
        ran = spawned("check", "-c", small(), "--json", stdout=full)
    assert (ran.code, ran.sentence) == (
        1,
        "No space left on device: 'standard output'; free some space and run again",
    )


def test_a_reader_that_has_had_enough_is_no_traceback(small, spawn) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = spawn("check", "-c", small(), stdout=writing)
    os.close(writing)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Exception" not in err


def test_a_terminal_without_unicode_is_no_traceback(small, spawned, run) -> None:
    config = small()
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    accounts = config.parent / "data" / "accounts.csv"
    named = config.parent / "data" / "Kundschaft Köln.csv"
    accounts.rename(named)
    text = config.read_text(encoding="utf-8")
    text = text.replace("[tables.accounts]", '[tables.accounts]\nfrom = "Kundschaft Köln"')
    config.write_text(text, encoding="utf-8")
    shown = spawned("check", "-c", config, env=ascii_only)
    assert shown.code == 0, shown.err
    assert "Kundschaft K?ln" in shown.out
    told = run("check", "-c", config, "--json")
    assert told.out.isascii()
    assert told.answer["tables"]["accounts"]["source_name"] == "Kundschaft Köln"


# What a shell starts in the background is deaf to Ctrl-C, and so are its children. The signal comes
# once the engine itself works, for Python forgets an interrupt that meets a finalizer, and in the
# one thread that hears of it: others end their task first, which has no end here.
ENDLESS = """
import os, signal, sys, threading, time
import duckdb
signal.signal(signal.SIGINT, signal.default_int_handler)
connect = duckdb.connect

def alone(*given, **told):
    connection = connect(*given, **told)
    connection.execute("set threads = 1")
    return connection

duckdb.connect = alone

def interrupt():
    before = None
    while True:
        now = sys._current_frames()[threading.main_thread().ident]
        if now is before and "duckdb" in now.f_code.co_filename:
            os.kill(os.getpid(), signal.SIGINT)
            return
        before = now
        time.sleep(0.2)

threading.Thread(target=interrupt, daemon=True).start()
"""


def test_ctrl_c_while_the_engine_works_is_exit_130(tmp_path, spawn) -> None:
    # A view that never ends keeps the engine busy until the signal comes.
    source = tmp_path / "source.duckdb"
    with duckdb.connect(str(source)) as connection:
        connection.execute(
            "create view accounts as select (a.range + b.range)::varchar as account_id,"
            " date '2024-01-01' as created_at"
            " from range(1000) a, range(1000000000000000) b where hash(a.range, b.range) = 0"
        )
        connection.execute("create table churn_events (account_id varchar, churned_at date)")
    config = tmp_path / "healthscore.toml"
    config.write_text(
        '[source]\nurl = "source.duckdb"\n[tables.accounts]\n[tables.churn_events]\n', "utf-8"
    )
    with spawn("check", "-c", config, before=ENDLESS, stdin=subprocess.DEVNULL) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "healthscore: Interrupted; nothing half-done was kept"
    assert "Traceback" not in err
