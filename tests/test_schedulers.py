"""The schedulers' examples: they call commands there are, and their own libraries load them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer.main

from pipelines.cli import command_line
from pipelines.monitor.monitor import BROKEN_FEED, CODES, KEPT, RETRAIN, WATCH
from tests.scheduler_environments import EXAMPLES, loaded, python_of

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = typer.main.get_command(command_line()).commands


def calls_in(text: str) -> list[tuple[str, list[str]]]:
    """List the commands a scheduler's file runs, each with its options."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "healthscore":
            words = [word.value for word in node.args if isinstance(word, ast.Constant)]
            found.append((words[0], [word for word in words[1:] if word.startswith("-")]))
    return found


def unknown(text: str) -> list[str]:
    """Name the commands and options that do not exist."""
    wrong = []
    for command, options in calls_in(text):
        if command not in COMMANDS:
            wrong.append(command)
            continue
        known = {name for parameter in COMMANDS[command].params for name in parameter.opts}
        wrong += [f"{command} {option}" for option in options if option not in known]
    return wrong


@pytest.mark.parametrize("example", EXAMPLES.values())
def test_examples_call_commands_and_options_there_are(example) -> None:
    text = (ROOT / "examples" / example).read_text(encoding="utf-8")
    assert {command for command, _ in calls_in(text)} == {"score", "monitor", "history"}
    assert unknown(text) == []


def test_a_command_or_option_that_is_not_there_is_seen() -> None:
    text = 'healthscore("retrain")\nhealthscore("score", "--as-of", day, "--fast")\n'
    assert unknown(text) == ["retrain", "score --fast"]


@pytest.mark.parametrize("example", EXAMPLES.values())
def test_examples_know_every_exit_code_of_a_check_that_retrains(example) -> None:
    tree = ast.parse((ROOT / "examples" / example).read_text(encoding="utf-8"))
    (table,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "NEXT"
    ]
    assert set(ast.literal_eval(table)) == {*CODES.values(), KEPT} - {RETRAIN}


def test_the_manual_lists_every_exit_code() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)}
    assert listed == {0, WATCH, RETRAIN, BROKEN_FEED, KEPT}


def own_python(name: str) -> Path:
    python = python_of(name)
    if not python.exists():
        pytest.skip(f"needs {name}; python tests/scheduler_environments.py installs it")
    return python


@pytest.mark.slow
def test_airflow_loads_its_dag_and_goes_where_exit_codes_lead() -> None:
    found, calls = loaded("airflow", own_python("airflow"))
    ends = ["all_is_well", "champion_stays", "look_at_the_report", "repair_the_feed"]
    assert found["dag"] == "healthscore_daily"
    assert found["edges"] == {"score": ["monitor"], "monitor": ends, **{end: [] for end in ends}}
    leads = found["leads"]
    assert [leads[f"monitor {code}"] for code in (0, 10, 12, 13)] == [
        "all_is_well",
        "look_at_the_report",
        "repair_the_feed",
        "champion_stays",
    ]
    for code in (11, 5):
        assert (
            leads[f"monitor {code}"] == f"failed: healthscore monitor ended with exit code {code}"
        )
    assert leads["score 5"] == "failed: healthscore score ended with exit code 5"
    assert leads["repair_the_feed"].startswith("failed: A data feed is broken")
    assert calls[:2] == [
        "score --as-of 2026-03-01 -c company.toml",
        "monitor --as-of 2026-03-01 --retrain --out drift.html -c company.toml",
    ]


@pytest.mark.slow
def test_dagster_loads_its_definitions_and_goes_where_exit_codes_lead() -> None:
    found, calls = loaded("dagster", own_python("dagster"))
    well = {"score": "STEP_SUCCESS", "monitor": "STEP_SUCCESS"}
    assert found["leads"] == {
        "0": {"success": True, "steps": well},
        "10": {"success": True, "steps": {**well, "look_at_the_report": "STEP_SUCCESS"}},
        "11": {"success": False, "steps": {"score": "STEP_SUCCESS", "monitor": "STEP_FAILURE"}},
        "12": {"success": False, "steps": {**well, "repair_the_feed": "STEP_FAILURE"}},
        "13": {"success": True, "steps": {**well, "champion_stays": "STEP_SUCCESS"}},
    }
    assert found["run_config"]["ops"] == {"score": {"config": {"as_of": "2026-03-01"}}}
    assert calls[-1] == "history -c company.toml"
