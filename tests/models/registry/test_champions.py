"""Who is promoted, put back, and what is told of each version."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from features.errors import RegistryError
from models.registry import champions
from models.registry.champions import history, reject, rollback_target, training_counts
from models.registry.files import CHALLENGER
from models.registry.folder import CHAMPION, PREVIOUS
from models.registry.models import Registry
from models.registry.session import tracking
from tests.models.promotions import NAME, aliases, back, copied, go, told

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.xdist_group("champions"),
]


@pytest.fixture
def folder(registered, tmp_path, monkeypatch) -> Path:
    """A copy to play with."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return copied(registered, tmp_path / "runs")


def test_a_first_champion_is_on_record(folder):
    found = history(folder, NAME)
    assert (found.serving, found.previous, found.notes) == ("1", None, ())
    assert told(folder) == [("train", "1", None, "done")]
    assert found.records[0].reasons == ("the first",)
    assert [(v.version, v.became) for v in found.versions] == [
        ("1", "champion"),
        ("2", "registered"),
        ("3", "registered"),
    ]
    assert aliases(folder) == {CHAMPION: "1", CHALLENGER: "3"}


def test_promoted_rejected_rolled_back_and_put_back_again(folder, result):
    reject(folder, NAME, "3", reasons=["too bold"])
    record = go(folder)
    assert aliases(folder) == {CHAMPION: "2", PREVIOUS: "1", CHALLENGER: "3"}
    assert Registry(folder, NAME).champion().version == "2"
    assert (record.number, record.state, record.before) == (3, "done", "1")
    assert back(folder, "it called everybody healthy") == "1"
    assert aliases(folder) == {CHAMPION: "1", CHALLENGER: "3"}
    assert Registry(folder, NAME).champion().version == "1"
    found = history(folder, NAME)
    became = {version.version: version.became for version in found.versions}
    assert became == {"1": "champion", "2": "rolled back", "3": "rejected"}
    assert found.versions[0].counts == result.counts
    assert found.versions[0].log_loss == pytest.approx(result.metrics.log_loss.value)
    assert [record.number for record in found.records] == [1, 2, 3, 4]
    assert found.records[-1].reasons == ("it called everybody healthy",)
    assert back(folder, to="2") == "2"
    assert aliases(folder) == {CHAMPION: "2", PREVIOUS: "1", CHALLENGER: "3"}
    json.dumps(history(folder, NAME).to_dict(), allow_nan=False)


def test_rolling_back_twice_goes_further_back(folder):
    go(folder, "2", "1")
    go(folder, "3", "2")
    assert back(folder) == "2"
    assert aliases(folder)[PREVIOUS] == "1"
    assert back(folder) == "1"
    assert PREVIOUS not in aliases(folder)
    with pytest.raises(RegistryError) as refused:
        rollback_target(folder, NAME)
    assert str(refused.value) == (
        "Version 1 of 'health' is the first champion: there is none before it to go back to; of"
        " those that served since, name one with --to: '2', '3'."
    )


def test_only_what_has_been_champion_can_be_put_back(folder):
    with pytest.raises(RegistryError, match="is the first champion: there is none before it to go"):
        rollback_target(folder, NAME)
    reject(folder, NAME, "3", reasons=["worse"])
    go(folder)
    for wanted in ("3", "2", "77", "x\x1b[31m"):
        with pytest.raises(RegistryError, match=r"cannot be put back: only what has been champion"):
            rollback_target(folder, NAME, wanted)


def test_an_alias_that_was_moved_by_other_means_is_told(folder):
    with tracking(folder, NAME, create=False):
        MlflowClient().set_registered_model_alias(NAME, CHAMPION, "3")
    found = history(folder, NAME)
    assert found.serving == "3"
    assert found.notes == (
        "Version 3 serves, but the last record is of version 1: the alias 'champion' was moved by"
        " other means.",
    )
    with tracking(folder, NAME, create=False):
        MlflowClient().delete_registered_model_alias(NAME, CHAMPION)
    assert history(folder, NAME).notes == (
        "There is no champion: nothing is scored until a model is trained.",
    )
    with pytest.raises(RegistryError, match="has no champion to roll back from; train a model"):
        rollback_target(folder, NAME)


def test_deleted_versions_and_lost_files_leave_a_history(folder):
    go(folder)
    with tracking(folder, NAME, create=False):
        MlflowClient().delete_model_version(NAME, "1")
        run = MlflowClient().get_model_version(NAME, "3").run_id
        MlflowClient().delete_run(run)
    found = history(folder, NAME)
    assert [(v.version, v.became) for v in found.versions] == [
        ("2", "champion"),
        ("3", "registered"),
    ]
    assert told(folder) == [("train", "1", None, "done"), ("promote", "2", "1", "done")]


def test_how_far_a_version_was_taught(folder, result, monkeypatch):
    assert training_counts(folder, NAME, "1") == result.counts
    monkeypatch.setattr(champions, "TRAINING", "no-such.json")
    with pytest.raises(RegistryError) as refused:
        training_counts(folder, NAME, "1")
    assert str(refused.value) == (
        "Version 1 of 'health' does not tell which dates it was taught with (no-such.json is gone"
        " or damaged); train a new champion with 'healthscore train'."
    )
    assert history(folder, NAME).versions[0].counts == {}


def test_nothing_registered_is_one_sentence(tmp_path):
    with pytest.raises(RegistryError, match="No champion of 'health' was found in the registry"):
        history(tmp_path / "nowhere", NAME)
    with tracking(tmp_path / "empty", NAME, create=True):
        mlflow.create_experiment(NAME)
    with pytest.raises(RegistryError, match="No version of 'health' is in the registry; train a"):
        history(tmp_path / "empty", NAME)
    with pytest.raises(RegistryError, match="No version of 'health' is in the registry; train a"):
        rollback_target(tmp_path / "empty", NAME)


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for ask in (history, rollback_target, lambda *place: Registry(*place).champion()):
        with pytest.raises(RegistryError, match=r"The registry 'http://127.0.0.1:9' could not be"):
            ask(tmp_path, NAME)
