"""What a command loads before it works: no more of the project than it uses, and no MLflow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# A night of 1,000 accounts is mostly starting up.
MOST_FILES = 142
TOLD = (
    "import atexit, sys\natexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
)
TEACHES = (
    "models.churn.shrinkage",
    "models.churn.trees",
    "models.weights.intervals",
    "models.backtest",
    "models.training.fit",
    "models.tree_shap.build",
    "features.outcomes.labels",
    "features.packs.opening",
)
HEAVY = {"alembic", "fastapi", "matplotlib", "mlflow", "optuna", "sqlalchemy", "weasyprint"}


def loaded(text: str) -> list[str]:
    """List the modules a command told of at its end."""
    (line,) = [line for line in text.splitlines() if line.startswith("LOADED ")]
    return line.split()[1:]


def files_of_project(modules: list[str]) -> list[str]:
    """Keep the files of the project; rooms by themselves hold no more than a sentence."""
    ours = [
        name for name in modules if name.partition(".")[0] in ("features", "models", "pipelines")
    ]
    return [name for name in ours if (ROOT / f"{name.replace('.', '/')}.py").exists()]


@pytest.fixture
def unchecked(project):
    """A copy of which no check was told: one that was spares a command some modules."""
    shutil.rmtree(project.folder / "scores.duckdb.panes")
    return project


@pytest.mark.parametrize("command", [["score"], ["explain", "A-00042"]])
def test_a_job_loads_what_it_uses(unchecked, spawned, command: list[str]) -> None:
    ran = spawned(*command, "-c", unchecked.config, "--json", before=TOLD)
    assert ran.code == 0, ran.err
    modules = loaded(ran.err)
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert [name for name in modules if name.startswith(TEACHES)] == []
    files = files_of_project(modules)
    assert "models.registry.models" in files
    assert len(files) <= MOST_FILES, files


def test_a_check_needs_no_model(unchecked, spawned) -> None:
    ran = spawned("check", "-c", unchecked.config, "--json", before=TOLD)
    assert ran.code == 0, ran.err
    modules = loaded(ran.err)
    assert {name.partition(".")[0] for name in modules} & (HEAVY | {"lightgbm", "sklearn"}) == set()
    assert [name for name in modules if name.startswith(("models.churn", "models.registry"))] == []
