"""A model whose files an earlier version wrote: loaded, scored, explained and rolled back to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.pyfunc.model import PythonModelContext

from models.registry import serving
from models.registry.chain import move_champion
from models.registry.champions import history, roll_back, rollback_target
from models.registry.models import Registry
from models.registry.session import tracking
from models.scoring.health_model import MODEL_FOLDER, HealthModel
from models.scoring.scorer import Scorer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FILES = Path(__file__).parent / "data" / "format_2"
NAME = "health"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    records = json.loads((FILES / "rows.json").read_text(encoding="utf-8"))
    frame = pd.DataFrame.from_records(records)
    return frame.assign(observation_date=pd.to_datetime(frame["observation_date"]))


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """What the version that wrote the files made of the rows."""
    scored: dict[str, Any] = json.loads((FILES / "scored.json").read_text(encoding="utf-8"))
    return scored


def assert_as_recorded(model: HealthModel, rows: pd.DataFrame, recorded: dict[str, Any]) -> None:
    scored = Scorer(model).score(rows)
    table = scored.table
    assert table["segment"].tolist() == recorded["segments"]
    assert table["band"].tolist() == recorded["bands"]
    for name, values in (("score", "scores"), ("probability", "probabilities")):
        assert table[name].tolist() == pytest.approx(recorded[values], rel=0, abs=1e-12)
    for points, expected in zip(scored.points.tolist(), recorded["points"], strict=True):
        assert points == pytest.approx(expected, rel=0, abs=1e-12)
    sentences = [[reason.sentence for reason in row] for row in scored.reasons(3)]
    for said, before in zip(sentences, recorded["sentences"], strict=True):
        # What is known of an account beside its behaviour has moved behind it since.
        behaviour = [sentence for sentence in before if not sentence.startswith("Customer for")]
        assert said[: len(behaviour)] == behaviour


def test_its_files_are_scored_and_explained_as_they_were(rows, recorded) -> None:
    assert_as_recorded(HealthModel.load(FILES), rows, recorded)


def test_batches_are_scored_as_they_were(rows, recorded) -> None:
    batch = pa.RecordBatch.from_pandas(rows, preserve_index=False)
    scored = Scorer(HealthModel.load(FILES)).score_batch(batch).to_pandas()
    assert scored["score"].tolist() == pytest.approx(recorded["scores"], rel=0, abs=1e-9)
    assert scored["segment"].tolist() == recorded["segments"]


def test_without_its_plan_one_is_made(rows, recorded, tmp_path) -> None:
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "shap_plan")
    assert_as_recorded(HealthModel.load(tmp_path), rows, recorded)


def test_it_is_served(rows, recorded) -> None:
    served = serving.ServedHealthModel()
    served.load_context(PythonModelContext({MODEL_FOLDER: str(FILES)}, {}))
    answers = served.predict(PythonModelContext({}, {}), rows)
    assert answers["score"].tolist() == pytest.approx(recorded["scores"], rel=0, abs=1e-12)


def test_it_is_rolled_back_to(rows, recorded, registered, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = shutil.copytree(registered, tmp_path / "registry")
    registry = Registry(folder, NAME)
    shutil.copytree(FILES, tmp_path / "earlier" / "artifacts" / MODEL_FOLDER)
    source = (tmp_path / "earlier").as_uri()
    run_id = registry.champion().run_id
    with tracking(folder, NAME, create=False):
        made = mlflow.MlflowClient().create_model_version(NAME, source, run_id=run_id)
        earlier = str(made.version)
        move_champion(NAME, earlier, action="promote", reasons=["the earlier one"])
        move_champion(NAME, "2", action="promote", reasons=["a later one"])
    target, serving_now = rollback_target(folder, NAME)
    assert (target, serving_now) == (earlier, "2")
    assert_as_recorded(registry.version(target).model, rows, recorded)
    roll_back(folder, NAME, target, instead_of=serving_now, reason="as it was")
    champion = registry.champion()
    assert champion.version == history(folder, NAME).serving == earlier
    assert_as_recorded(champion.model, rows, recorded)
