"""A registry folder that was moved or copied: its recorded artifact paths follow it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from features.errors import RegistryError

ARTIFACTS = "artifacts"
# Where MLflow records the address of a file, as a URI that starts with the folder's own.
_RECORDED = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def follow_the_folder(folder: Path) -> None:
    """Let the artifact addresses of a local registry start from where the folder lies now.

    MLflow records whole paths, so that a renamed folder would lose its models and a copy would
    go on reading the original's.

    Parameters
    ----------
    folder : Path
        Registry folder: ``mlflow.db`` and ``artifacts``.

    Raises
    ------
    RegistryError
        When the folder was moved and its database cannot be written to.
    """
    database = folder / "mlflow.db"
    if not database.exists():
        return
    here = (folder / ARTIFACTS).resolve().as_uri()
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
            before = _recorded_root(connection)
            # A database that was copied alone goes on reading the files of the original.
            if before not in (None, here) and (folder / ARTIFACTS).is_dir():
                _rewrite(connection, before, here)
    except sqlite3.Error as error:
        raise RegistryError(
            f"The registry {str(folder)!r} was moved or copied, or is no registry, and its database"
            f" could not be brought up to date ({error}); make '{database.name}' writable."
        ) from error


def _recorded_root(connection: sqlite3.Connection) -> str | None:
    """Return the recorded address of the artifacts folder; None before anything was logged."""
    if not connection.execute(
        "select 1 from sqlite_master where type = 'table' and name = 'experiments'"
    ).fetchone():
        return None
    addresses = connection.execute(
        "select artifact_location from experiments where artifact_location like 'file:%'"
    ).fetchall()
    roots = {address for (address,) in addresses if _is_root(address)}
    return min(roots) if roots else None


def _is_root(address: str) -> bool:
    return unquote(address).rstrip("/").endswith(f"/{ARTIFACTS}")


def _rewrite(connection: sqlite3.Connection, before: str, here: str) -> None:
    for table, column in _RECORDED.items():
        # Names are ours; what is compared and written goes as parameters.
        connection.execute(
            f"update {table} set {column} = ? || substr({column}, ?)"
            f" where {column} = ? or substr({column}, 1, ?) = ?",
            [here, len(before) + 1, before, len(before) + 1, before + "/"],
        )
