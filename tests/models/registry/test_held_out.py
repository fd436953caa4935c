"""What was said of held-out rows, and which of them judge a model."""

from __future__ import annotations

from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from models.registry.files import held_out, log_table
from models.registry.session import HOLDOUT, tracking
from models.registry.versions import load_holdout

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
JUDGED = pd.DataFrame({"account_id": ["a", "b"], "probability": [0.25, 0.5]})
ACTED = pd.DataFrame({"account_id": ["c"], "probability": [0.75]})


def test_rows_that_were_acted_on_are_kept_beside_those_that_judge(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracking(tmp_path, "health", create=True):
        place = (tmp_path / "artifacts").as_uri()
        with mlflow.start_run(experiment_id=mlflow.create_experiment("health", place)) as run:
            log_table(held_out(SimpleNamespace(holdout=JUDGED, acted_on=ACTED)), HOLDOUT)
        client = MlflowClient()
        client.create_registered_model("health")
        client.create_model_version("health", place, run_id=run.info.run_id)
    pd.testing.assert_frame_equal(load_holdout(tmp_path, "health", "1"), JUDGED)
    everything = load_holdout(tmp_path, "health", "1", everything=True)
    assert everything.account_id.tolist() == ["a", "b", "c"]
    assert everything.acted_on.tolist() == [False, False, True]


def test_without_acts_nothing_is_marked():
    assert held_out(SimpleNamespace(holdout=JUDGED, acted_on=None)) is JUDGED
