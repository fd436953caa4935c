from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from features.errors import RegistryError
from models.registry.champions import history
from models.registry.files import log_champion
from models.registry.folder import SEAL, kept_version
from models.registry.models import AskedOutcome, Registry
from models.registry.session import fetched_version, tracking
from models.scoring.file_seal import seal_files, seal_of
from models.scoring.scorer import Scorer
from pipelines.reports.figures.tested_rows import reliability_plot

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def no_server(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


def log(result, folder, **more):
    settings = {
        "params": {"seed": 3, "fingerprint": "abc"},
        "files": {"healthscore.toml": "[data]\n", "notes/readme.txt": "hello"},
        "figures": {"reliability.png": reliability_plot(result.calibration)},
    }
    return log_champion(result, folder=folder, name="health", **settings | more)


@pytest.fixture(scope="module")
def registry(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlruns")
    assert log(result, folder) == "1"
    return folder


def test_the_champion_comes_back_as_it_was(registry, result, frame):
    metadata = Registry(registry, "health").champion()
    model, version = metadata.model, metadata.version
    assert version == "1"
    expected, found = Scorer(result.model).score(frame), Scorer(model).score(frame)
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
    assert metadata.params["fingerprint"] == "abc"
    assert metadata.params["rounds"] == str(result.choice["n_rounds"])
    assert metadata.metrics["holdout_auc"] == pytest.approx(result.metrics.auc.value)
    assert metadata.created_at.endswith("+00:00")


def test_everything_is_in_the_folder_and_nothing_is_pickled(registry):
    files = [path for path in registry.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"mlflow.db", "health_model.json", "healthscore.toml", "reliability.png"} <= names
    assert {"catalogue.json", "weights.json", "training.json", "readme.txt"} <= names
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib"}]
    # A pickle of protocol 2 or later starts with this byte and the protocol.
    heads = {path: path.read_bytes()[:2] for path in files}
    assert not [path for path, head in heads.items() if head[:1] == b"\x80"]
    assert not list(Path.cwd().iterdir())


def test_the_served_model_answers_with_scores_and_reasons(registry, result, frame, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{registry / 'mlflow.db'}")
    served = mlflow.pyfunc.load_model("models:/health@champion")
    columns = ["account_id", "observation_date", *result.model.required_columns]
    rows = frame.iloc[:20][columns]
    found = served.predict(rows)
    expected = Scorer(result.model).score(rows)
    assert found["score"].tolist() == expected.table["score"].tolist()
    assert found["band"].tolist() == expected.table["band"].tolist()
    said = [reason.sentence for reason in expected.reasons()[0]]
    assert found["reasons"][0] == said
    mlflow.set_tracking_uri(None)


def test_a_retrain_is_a_new_version_and_a_killed_one_leaves_the_old(result, tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    assert log(result, folder) == "1"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_registered_model_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            log(result, folder)
    assert Registry(folder, "health").champion().version == "1"
    assert log(result, folder) == "3"
    assert Registry(folder, "health").champion().version == "3"
    assert [Registry(folder, "health").version(version).version for version in "13"] == ["1", "3"]
    mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").delete_model_version("health", "1")
    with pytest.raises(RegistryError, match="Version '1' of 'health' is not in the registry"):
        Registry(folder, "health").version("1")


def test_two_folders_do_not_mix(registry, result, tmp_path):
    assert log(result, tmp_path / "other") == "1"
    assert (tmp_path / "other" / "artifacts").is_dir()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_no_champion_is_one_sentence_and_leaves_nothing(registry, tmp_path):
    message = r"No champion of 'health' was found in the registry .*; train a model first."
    with pytest.raises(RegistryError, match=message):
        Registry(tmp_path / "nowhere", "health").champion()
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(RegistryError, match="No champion of 'another'"):
        Registry(registry, "another").champion()


def test_a_version_comes_back_as_the_champion_does(registry, frame):
    champion = Registry(registry, "health").champion()
    version = Registry(registry, "health").version("1")
    assert version.version == "1"
    for name in ("run_id", "created_at", "params", "metrics"):
        assert getattr(version, name) == getattr(champion, name)
    expected = Scorer(champion.model).score(frame.iloc[:50]).table
    pd.testing.assert_frame_equal(
        Scorer(version.model).score(frame.iloc[:50]).table, expected, check_exact=True
    )


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("health", "7", "Version '7' of 'health' is not"),
        ("another", "1", "Version '1' of 'another' is not"),
        ("health", "x\x1b[31m'; drop", "Version \"x\\x1b[31m'; drop\" of 'health' is not"),
    ],
)
def test_a_version_that_is_not_there_is_one_sentence(registry, name, version, said):
    with pytest.raises(RegistryError) as caught:
        Registry(registry, name).version(version)
    assert str(caught.value) == (
        f"{said} in the registry {str(registry)!r}, and only it can say what its scores were made"
        " of; restore it there, or choose a date scored by a version that is there."
    )


def test_a_version_of_a_registry_that_is_none(tmp_path):
    with pytest.raises(RegistryError, match="No champion of 'health' was found"):
        Registry(tmp_path / "nowhere", "health").version("1")
    (tmp_path / "mlflow.db").write_text("not a database, at least not one that SQLite reads")
    with pytest.raises(RegistryError, match="is no registry, and its database could not be"):
        Registry(tmp_path, "health").version("1")


def test_lost_files_are_one_sentence(result, tmp_path):
    folder = tmp_path / "runs"
    log(result, folder)
    for path in folder.rglob("health_model.json"):
        path.unlink()
    for load in (
        lambda *place: Registry(*place).champion(),
        lambda *place: Registry(*place).version("1"),
    ):
        with pytest.raises(RegistryError, match="is not as it was registered"):
            load(folder, "health")


def test_a_database_that_is_none(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, at least not one that SQLite reads")
    with pytest.raises(RegistryError, match="is no registry, and its database could not be"):
        Registry(tmp_path, "health").champion()


def test_the_environment_variable_rules(result, tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path / 'server.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert log(result, tmp_path / "unused") == "1"
    assert Registry(tmp_path / "unused", "health").champion().version == "1"
    assert not (tmp_path / "unused" / "mlflow.db").exists()
    assert os.environ["MLFLOW_TRACKING_URI"] == uri


def test_mlflow_is_quiet(result, tmp_path):
    """In a process of its own: MLflow talks while it makes a new database."""
    result.model.save(tmp_path / "model")
    script = (
        "import sys; from pathlib import Path; from models.registry.models import Registry\n"
        "from features.errors import RegistryError\n"
        "Path(sys.argv[1]).mkdir(); (Path(sys.argv[1]) / 'mlflow.db').touch()\n"
        "try: Registry(Path(sys.argv[1]), 'health').champion()\n"
        "except RegistryError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "fresh")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.stdout.startswith("No champion of 'health'")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_threads_that_read_two_registries_take_turns(tmp_path):
    def read(folder: Path) -> set[str]:
        seen = set()
        for _ in range(200):
            with tracking(folder, "health", create=True):
                seen.add(mlflow.get_tracking_uri())
        return seen

    folders = [tmp_path / name for name in "abcd"]
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(read, folders))
    assert seen == [{f"sqlite:///{folder / 'mlflow.db'}"} for folder in folders]


def test_reading_a_champion_loads_neither_what_teaches_nor_what_draws():
    code = (
        "import sys, models.registry.models, models.scoring.scorer\n"
        "heavy = ('models.training', 'models.backtest', 'models.tree_shap.build', 'matplotlib',\n"
        " 'mlflow', 'models.churn.shrinkage', 'models.churn.trees', 'models.weights.intervals')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])\n"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_a_champion_of_another_outcome_is_refused(registry):
    for kind, is_good in (("contraction", False), ("churn", True)):
        asked = Registry(registry, "health", AskedOutcome(kind, is_good, "outcome"))
        for load in (asked.champion, lambda asked=asked: asked.version("1")):
            with pytest.raises(RegistryError) as caught:
                load()
            assert str(caught.value) == (
                "The model 'health' was taught to predict churn as bad news, and [outcome] now"
                f" says kind = {kind!r}; train again or give the new outcome a section of its own"
                " under [outcomes]"
            )
    assert Registry(registry, "health", AskedOutcome("churn", False, "outcome")).champion()


def test_a_model_whose_files_changed_is_not_loaded(result, tmp_path):
    version = log(result, tmp_path)
    kept = Registry(tmp_path, "health")
    model = kept.champion().model
    (file,) = tmp_path.rglob("health_model.json")
    text = file.read_text("utf-8")
    file.write_text(text.replace('"centre": ', '"centre": 1'), "utf-8")
    with pytest.raises(RegistryError, match=r"'health_model.json' changed since it was sealed"):
        kept.champion()
    # Whoever seals the folder anew is betrayed by the seal that the version bears.
    seal_files(file.parent)
    with pytest.raises(RegistryError, match=r"'seal.json' has changed since the model was"):
        kept.champion()
    with tracking(tmp_path, "health", create=False):
        seal = seal_of(file.parent)
        mlflow.MlflowClient().set_model_version_tag("health", version, SEAL, seal)
    # And who changes that one, by the record of its promotion; also on a server.
    with pytest.raises(RegistryError, match=r"Version 1 bears another seal than its record"):
        kept.champion()
    with tracking(tmp_path, "health", create=False):
        told = fetched_version("health", version, tmp_path / "fetched")
    assert told == replace(kept_version(tmp_path, "health"), files=told.files)
    assert told.recorded_seal not in (None, told.seal)
    assert history(tmp_path, "health").notes == (
        "Version 1 bears another seal than its record: its files or its tag were changed since; "
        "roll back to another version or train again.",
    )
    with tracking(tmp_path, "health", create=False):
        mlflow.MlflowClient().delete_model_version_tag("health", version, SEAL)
    with pytest.raises(RegistryError, match=r"'seal.json' has changed since the model was"):
        kept.champion()
    file.write_text(text, "utf-8")
    seal_files(file.parent)
    assert kept.champion().model.centres == model.centres
    assert history(tmp_path, "health").notes[0].startswith("Version 1 bears another seal than its")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("update tags set value = '' where key = ?", [SEAL])
    assert kept.champion().model.centres == model.centres
    assert history(tmp_path, "health").notes == (
        "Version 1 was registered before the files of models were sealed, so that changes of its "
        "files are not noticed; train again to seal them.",
    )
