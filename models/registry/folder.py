"""A registry in a folder: its paths follow it when it moves, and a version is read without MLflow.

Loading MLflow takes longer than scoring a small company does. What a champion is made of stands in
few tables of its database, which are read as they are; whatever does not look as expected there is
left to MLflow.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from features.errors import RegistryError

DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
CHAMPION, PREVIOUS = "champion", "previous"
SEAL = "healthscore.seal"
# Where MLflow records the address of a file, as a URI that starts with the folder's own.
_RECORDED = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}

_VERSION = """
select version, run_id, creation_time, coalesce(storage_location, source)
from model_versions
where name = ? and current_stage is not 'Deleted_Internal' and cast(version as text) = coalesce(
    ?, (select cast(version as text) from registered_model_aliases where name = ? and alias = ?))
"""


_RECORDED_SEAL = """
select seal.value from tags as seal
join runs using (run_uuid) join experiments using (experiment_id)
join tags as about on about.run_uuid = seal.run_uuid and about.key = 'healthscore.version'
join tags as number on number.run_uuid = seal.run_uuid and number.key = 'healthscore.number'
where seal.key = ? and seal.value <> '' and experiments.name = ? and about.value = ?
order by cast(number.value as integer) desc limit 1
"""


@dataclass(frozen=True)
class Registered:
    """A registered version, before its model is loaded.

    Attributes
    ----------
    version, run_id : str
        Its number, and the run that taught it.
    created_ms : int
        When it was registered, in milliseconds since 1970 in UTC.
    params : dict of str to str
        Settings and fingerprints of its training.
    metrics : dict of str to float
        What its training measured.
    seal : str or None
        Digest of its files; None of versions from before files were sealed.
    files : Path
        Folder of what was logged as the model.
    recorded_seal : str or None
        The digest that stands in the newest record of what was decided about it.
    """

    version: str
    run_id: str
    created_ms: int
    params: dict[str, str]
    metrics: dict[str, float]
    seal: str | None
    files: Path
    recorded_seal: str | None


def is_elsewhere() -> bool:
    """Whether MLFLOW_TRACKING_URI names the registry, in place of a folder."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def is_made(folder: Path) -> bool:
    """Whether there is a registry to read."""
    return is_elsewhere() or (folder / DATABASE).exists()


def place_of(folder: Path) -> str:
    """Name the registry as the user did; inside a tracking block MLflow sets the variable."""
    return os.environ.get("MLFLOW_TRACKING_URI") or str(folder)


def no_champion(folder: Path, name: str) -> str:
    """Say that there is none."""
    return (
        f"No champion of {name!r} was found in the registry {place_of(folder)!r}; train a model "
        "first."
    )


def kept_version(folder: Path, name: str, version: str | None = None) -> Registered | None:
    """Read a registered version from a folder's database.

    Parameters
    ----------
    folder : Path
        Registry folder: ``mlflow.db`` and ``artifacts``.
    name : str
        Registered model.
    version : str or None
        Which version; the champion when None.

    Returns
    -------
    Registered or None
        None where it is not there, or not written as is known here: MLflow can tell which.

    Raises
    ------
    RegistryError
        When the folder was moved and its database cannot be written to.
    """
    follow_the_folder(folder)
    database = (folder / DATABASE).resolve()
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", timeout=60, uri=True)) as kept:
            rows = kept.execute(_VERSION, [name, version, name, CHAMPION]).fetchall()
            if len(rows) != 1:
                return None
            number, run, created, address = rows[0]
            parts = urlsplit(str(address))
            if parts.scheme != "file" or run is None:
                return None
            tags = kept.execute(
                "select value from model_version_tags where name = ? and version = ? and key = ?",
                [name, number, SEAL],
            ).fetchall()
            recorded = kept.execute(_RECORDED_SEAL, [SEAL, name, str(number)]).fetchone()
            return Registered(
                version=str(number),
                run_id=str(run),
                created_ms=int(created),
                params=dict(
                    kept.execute("select key, value from params where run_uuid = ?", [run])
                ),
                metrics={
                    key: float("nan") if is_nan else value
                    for key, value, is_nan in kept.execute(
                        "select key, value, is_nan from latest_metrics where run_uuid = ?", [run]
                    )
                },
                seal=tags[0][0] if tags else None,
                files=Path(url2pathname(parts.path)),
                recorded_seal=recorded[0] if recorded else None,
            )
    except sqlite3.Error:
        return None


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
    database = folder / DATABASE
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
