from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from features.errors import RegistryError
from features.json_values import json_value
from models.backtest.backtest import backtest
from models.backtest.contenders import Contender, base_rate
from models.churn.segments import SegmentSettings
from models.registry.files import log_backtest
from models.registry.session import tracking
from models.registry.versions import newest_backtest
from models.training.learning import Learning
from tests.models.ranked import auc_within

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def judged(make_company, signals):
    return backtest(
        make_company(accounts=150, dates=6, seed=4),
        signals,
        Learning(maturity_days=44, segments=SegmentSettings(("plan",))),
        n_origins=1,
        contenders=(Contender(HOSTILE, base_rate),),
        treated=np.arange(900) % 7 == 0,
    )


@pytest.fixture(scope="module")
def registry(judged, tmp_path_factory):
    """A registry where a backtest was followed by a newer one and by another model's."""
    folder = tmp_path_factory.mktemp("mlruns")
    older = replace(judged, counts=judged.counts | {"origins": 9})
    for name, result, champion in (
        ("health", older, "4"),
        ("health", judged, None),
        ("growth", older, "7"),
    ):
        log_backtest(
            result,
            folder=folder,
            name=name,
            params={"champion": champion},
            files={},
            figures={},
        )
    return folder


def add_run(folder, name, *, status="FINISHED", kind="backtest", text=None):
    """Log one more run, as a killed or another command would have left it."""
    with tracking(folder, name, create=False):
        client = MlflowClient()
        found = mlflow.get_experiment_by_name(name)
        place = (folder / "artifacts").as_uri()
        experiment = found.experiment_id if found else mlflow.create_experiment(name, place)
        run_id = client.create_run(experiment, tags={"healthscore.kind": kind}).info.run_id
        if text is not None:
            client.log_text(run_id, text, "backtest.json")
        if status != "RUNNING":
            client.set_terminated(run_id, status)
        return run_id


def test_it_is_the_newest_of_its_own_model(registry, judged):
    before = datetime.now(UTC).replace(tzinfo=None)
    found = newest_backtest(registry, "health")
    assert found["origins"] == judged.counts["origins"] == 1
    assert found["champion"] is None
    assert (found["tested_from"], found["tested_until"]) == (
        judged.counts["tested_from"],
        judged.counts["tested_until"],
    )
    assert abs((before - found["logged_at"]).total_seconds()) < 3600
    other = newest_backtest(registry, "growth")
    assert (other["origins"], other["champion"]) == (9, "7")
    assert other["run_id"] != found["run_id"]


def test_it_holds_what_was_measured_over_all_rows(registry, judged):
    found = newest_backtest(registry, "health")
    predictions = judged.predictions
    assert [row["contender"] for row in found["measures"]] == ["healthscore", HOSTILE]
    for row in found["measures"]:
        risk = predictions[f"p_{row['contender']}"].to_numpy()
        happened = predictions["happened"].to_numpy()
        assert (row["rows"], row["positives"]) == (len(predictions), happened.sum())
        loss = -np.where(happened == 1, np.log(risk), np.log1p(-risk)).mean()
        assert row["log_loss"] == pytest.approx(loss)
        ranked = auc_within(happened, risk, predictions["observation_date"])
        assert row["auc"] == pytest.approx(ranked)
        assert row["auc_low"] <= row["auc"] <= row["auc_high"]
        assert row["log_loss_low"] < row["log_loss"] < row["log_loss_high"]
    assert found["versus"] == json.loads(json.dumps(json_value(judged.versus)))
    assert set(pd.DataFrame(judged.measures)["population"]) == {"all", "untreated"}


def test_what_never_ended_or_is_no_backtest_does_not_count(registry):
    assert newest_backtest(registry, "fresh") is None
    good = json.dumps({"measures": [], "versus": [], "counts": {}})
    for status, kind in (("RUNNING", "backtest"), ("FAILED", "backtest"), ("FINISHED", "monitor")):
        add_run(registry, "fresh", status=status, kind=kind, text=good)
    assert newest_backtest(registry, "fresh") is None


TEXTS = (None, "{", "[]", '{"measures": [{}]}', '{"measures": []}')


@pytest.mark.parametrize("text", TEXTS)
def test_one_that_cannot_be_read_is_named(registry, text):
    name = f"broken_{TEXTS.index(text)}"
    run_id = add_run(registry, name, text=text)
    message = (
        f"The backtest of run {run_id} left no backtest.json that can be read; run 'healthscore"
        " backtest' again."
    )
    with pytest.raises(RegistryError, match=re.escape(message)):
        newest_backtest(registry, name)


def test_a_registry_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(RegistryError, match=r"^No champion of 'health' was found"):
        newest_backtest(tmp_path / "nothing", "health")
    assert not (tmp_path / "nothing").exists()
