from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import healthscore as hs
from tests.pipelines.conftest import Project

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def opened(taught: Project) -> hs.OpenProject:
    return hs.open_project(taught.config)


def test_every_name_is_there_and_no_other() -> None:
    assert set(dir(hs)) == set(hs.__all__)
    assert all(getattr(hs, name) is not None for name in hs.__all__)
    with pytest.raises(AttributeError, match="module 'healthscore' has no attribute 'scores'"):
        _ = hs.scores


def test_the_front_door_opens_before_anything_heavy_is_loaded() -> None:
    code = "import healthscore, sys; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "pandas", "sklearn", "lightgbm", "mlflow", "ibis", "features", "models"}
    assert not heavy & set(shown.stdout.split())


@pytest.mark.slow
def test_a_model_taught_through_the_front_door_is_the_champion(
    opened: hs.OpenProject, taught: Project
) -> None:
    rows = opened.labelled_rows()
    result = hs.fit_health_model(rows, **opened.learning(rows))
    assert result.metrics.to_dict() == taught.trained["metrics"]
    scored = hs.Scorer(result.model).score(rows.frame)
    total = scored.table["baseline_score"] + scored.points.sum(axis=1)
    np.testing.assert_allclose(total, scored.table["score"], atol=1e-9)


def test_rows_of_a_date_are_those_of_the_features_command(
    opened: hs.OpenProject, run, tmp_path
) -> None:
    file = tmp_path / "features.parquet"
    config = opened.project.path
    assert run("features", "-c", config, "--as-of", "2024-06-01", "--out", file).code == 0
    pd.testing.assert_frame_equal(
        opened.rows_on("2024-06-01").reset_index(drop=True),
        pd.read_parquet(file),
        check_dtype=False,
    )


@pytest.mark.slow
def test_a_score_is_explained_as_by_the_command(opened: hs.OpenProject, run) -> None:
    account = str(opened.rows_on()["account_id"].iloc[0])
    answer = run("explain", account, "-c", opened.project.path, "--json").answer
    assert opened.explain(account).to_dict() == answer


def test_notebooks_use_the_front_door_and_nothing_deeper() -> None:
    rooms = {"features", "models", "pipelines"}
    deeper = {
        path.name: node.module
        for path in sorted((ROOT / "notebooks").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in rooms
    }
    assert deeper == {}
