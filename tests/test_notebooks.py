"""Every notebook runs from top to bottom on a small company, and leaves no trace in it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import marimo
import pytest
from marimo import Html
from marimo._ast.app import InternalApp

from tests.pipelines.conftest import Project

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
each_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
pytestmark = [pytest.mark.manual, pytest.mark.xdist_group("notebooks")]


def app_of(file: Path) -> marimo.App:
    described = importlib.util.spec_from_file_location(f"notebook_{file.stem}", file)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    app: marimo.App = module.app
    return app


def run_notebook(
    file: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Any], dict[str, Any]]:
    monkeypatch.setattr(sys, "argv", [str(file), "--config", str(config)])
    outputs, defined = app_of(file).run()
    return list(outputs), dict(defined)


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def texts(outputs: list[Any]) -> str:
    return "\n".join(one.text for one in outputs if isinstance(one, Html))


def pictures(outputs: list[Any]) -> int:
    return sum(type(one).__name__ == "Figure" for one in outputs)


def test_the_notebooks_are_those_of_the_manual() -> None:
    page = (ROOT / "docs" / "how-to" / "notebooks.md").read_text("utf-8")
    assert [file.stem for file in NOTEBOOKS] == [
        "drift",
        "explore_signals",
        "train_and_calibrate",
        "weights_and_what_if",
    ]
    assert all(f"`notebooks/{file.name}`" in page for file in NOTEBOOKS)


@each_notebook
def test_without_a_company_it_says_what_to_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_notebook(file, tmp_path / "healthscore.toml", monkeypatch)
    assert str(stop.value) == (
        f"There is no {tmp_path / 'healthscore.toml'}: run 'make demo' first, or name a file with"
        " --config."
    )


@each_notebook
def test_cells_are_as_marimo_would_write_them(file: Path) -> None:
    """What an editor would save differently is a change that nobody made."""
    tree = ast.parse(file.read_text("utf-8"))
    cells = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    app = InternalApp(app_of(file))
    assert len(cells) == len(list(app.cell_manager.cells()))
    for cell, (_, known) in zip(cells, app.cell_manager.valid_cells(), strict=True):
        taken = {argument.arg for argument in cell.args.args}
        assert taken == known.refs & app.graph.definitions.keys(), ast.unparse(cell)[:200]


@each_notebook
def test_it_runs_and_leaves_no_trace(
    file: Path, walked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(walked.folder)
    outputs, defined = run_notebook(file, walked.config, monkeypatch)
    assert files_of(walked.folder) == before
    CHECKS[file.stem](outputs, defined, walked)


def check_signals(outputs: list[Any], defined: dict[str, Any], walked: Project) -> None:
    frame, ranked = defined["frame"], defined["ranked"]
    assert pictures(outputs) == 4
    assert f"{len(frame):,} rows" in texts(outputs)
    assert ranked["auc"].between(0.5, 1).all()
    # Usage that falls is what the simulated accounts leave by.
    assert "usage" in set(ranked.head(10)["group"])
    assert defined["path"].index.tolist() == [1, 2, 3, 4, 5, 6]


def check_training(outputs: list[Any], defined: dict[str, Any], walked: Project) -> None:
    # The notebook does by hand what the command does.
    assert defined["result"].metrics.to_dict() == walked.trained["metrics"]
    assert defined["total"] == pytest.approx(defined["account"]["score"], abs=1e-6)
    assert pictures(outputs) == 3
    assert f"{defined['measured'].auc.value:.3f}" in texts(outputs)
    assert defined["beside_truth"]["churn_probability"].between(0, 1).all()


def check_weights(outputs: list[Any], defined: dict[str, Any], walked: Project) -> None:
    assert pictures(outputs) == 2
    assert defined["everybody"]["contender"].tolist() == [
        "today",
        "yours",
        "recommended",
        "full model",
    ]
    assert sum(defined["yours"].values()) == pytest.approx(100)
    assert dict(defined["model"].weights) == walked.trained["weights"]


def check_drift(outputs: list[Any], defined: dict[str, Any], walked: Project) -> None:
    assert pictures(outputs) == 1
    assert defined["steps"][0]["decision"] in ("ok", "watch")
    assert defined["steps"][-1]["decision"] == "retrain"
    assert defined["unit"].status == defined["silence"].status == "broken-feed"
    assert "'tickets'" in defined["silence"].reasons[0]
    assert {fault.kind for fault in defined["unit"].faults} >= {"changed-unit"}


CHECKS = {
    "drift": check_drift,
    "explore_signals": check_signals,
    "train_and_calibrate": check_training,
    "weights_and_what_if": check_weights,
}
