from __future__ import annotations

import math
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import RegistryError
from models.registry.folder import follow_the_folder, kept_version
from models.registry.models import Registry
from models.registry.session import fetched_version, tracking


def addresses(folder: Path) -> set[str]:
    with sqlite3.connect(folder / "mlflow.db") as connection:
        return {
            address
            for table, column in (
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "storage_location"),
            )
            for (address,) in connection.execute(f"select {column} from {table}")
        }


def test_a_moved_registry_keeps_its_champion(registered: Path, tmp_path: Path) -> None:
    moved = tmp_path / "a folder with spaces and ümläuts"
    first = shutil.copytree(registered, tmp_path / "first")
    champion = Registry(first, "health").champion()
    first.rename(moved)
    again = Registry(moved, "health").champion()
    assert again.version == champion.version
    assert again.model.weights == champion.model.weights
    assert {address.startswith(moved.resolve().as_uri()) for address in addresses(moved)} == {True}


def test_a_copy_reads_its_own_files(registered: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(registered, tmp_path / "copy")
    before = addresses(registered)
    for file in (copied / "artifacts").rglob("health_model.json"):
        file.write_text("{}", encoding="utf-8")
    with pytest.raises(RegistryError):
        Registry(copied, "health").champion()
    Registry(registered, "health").champion()
    assert addresses(registered) == before


def test_a_folder_whose_name_begins_alike_is_not_touched(registered: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(registered, tmp_path / "copy")
    strange = "file:///elsewhere/artifacts-of-others/1/artifacts"
    with sqlite3.connect(copied / "mlflow.db") as connection:
        connection.execute("update runs set artifact_uri = ?", [strange])
    follow_the_folder(copied)
    with sqlite3.connect(copied / "mlflow.db") as connection:
        assert set(connection.execute("select artifact_uri from runs")) == {(strange,)}


def test_no_database_and_an_empty_one_are_left_alone(tmp_path: Path) -> None:
    follow_the_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "mlflow.db").close()
    follow_the_folder(tmp_path)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be read as one" * 9)
    with pytest.raises(RegistryError, match=r"make 'mlflow.db' writable"):
        follow_the_folder(tmp_path)


@pytest.mark.parametrize("version", [None, "2"])
def test_a_version_is_read_as_mlflow_tells_it(
    registered: Path, tmp_path: Path, version: str | None
) -> None:
    kept = kept_version(registered, "health", version)
    with tracking(registered, "health", create=False):
        told = fetched_version("health", version, tmp_path)
    assert kept is not None
    assert told is not None
    assert replace(kept, files=told.files) == told
    files = {path.relative_to(kept.files) for path in kept.files.rglob("*") if path.is_file()}
    assert Path("artifacts/health_model/health_model.json") in files
    assert {
        file
        for file in files
        if (kept.files / file).read_bytes() != (told.files / file).read_bytes()
    } == set()


@pytest.mark.parametrize(
    "statement",
    [
        "delete from registered_model_aliases",
        "update model_versions set current_stage = 'Deleted_Internal'",
        "update model_versions set storage_location = 's3://bucket/models'",
        "update model_versions set run_id = null",
        "alter table model_versions rename to renamed",
        "alter table params rename to renamed",
        "insert into model_versions select name, version, creation_time, last_updated_time,"
        " description, user_id, current_stage, source, run_id, status, status_message, run_link,"
        " storage_location, 'another' from model_versions",
    ],
)
def test_what_is_not_as_expected_is_left_to_mlflow(
    registered: Path, tmp_path: Path, statement: str
) -> None:
    (tmp_path / "artifacts").mkdir()
    shutil.copy(registered / "mlflow.db", tmp_path)
    assert kept_version(tmp_path, "health") is not None
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("pragma foreign_keys = off")
        connection.execute(statement)
    assert kept_version(tmp_path, "health") is None
    assert kept_version(tmp_path, "another") is None


def test_a_number_that_is_none_and_an_older_version_are_told(
    registered: Path, tmp_path: Path
) -> None:
    (tmp_path / "artifacts").mkdir()
    shutil.copy(registered / "mlflow.db", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("update latest_metrics set is_nan = 1 where key = 'holdout_auc'")
        connection.execute("delete from model_version_tags")
    kept = kept_version(tmp_path, "health")
    assert kept is not None
    assert kept.seal is None
    assert math.isnan(kept.metrics["holdout_auc"])


def test_a_champion_is_read_while_its_registry_cannot_be_written(
    registered: Path, tmp_path: Path
) -> None:
    (tmp_path / "artifacts").mkdir()
    shutil.copy(registered / "mlflow.db", tmp_path)
    kept_version(tmp_path, "health")
    with sqlite3.connect(tmp_path / "mlflow.db") as writer:
        writer.execute("begin immediate")
        assert kept_version(tmp_path, "health") is not None
