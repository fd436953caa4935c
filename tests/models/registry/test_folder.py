from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from features.errors import RegistryError
from models.registry.folder import follow_the_folder
from models.registry.models import Registry


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
