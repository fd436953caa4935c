"""The MLflow session: the registry it points at for the length of a block, and files of runs."""

from __future__ import annotations

import json
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from features.errors import RegistryError
from models.registry.folder import (
    CHAMPION,
    DATABASE,
    SEAL,
    Registered,
    follow_the_folder,
    is_made,
    no_champion,
)

if TYPE_CHECKING:
    from models.training.fit import TrainingCounts

HOLDOUT, TRAINING = "holdout.parquet", "training.json"
"""What a training leaves with its run."""
UNREADABLE = (MlflowException, OSError, ValueError, RecursionError)
"""What comes of reading a file of a run that is gone or damaged."""
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def tracking(folder: Path, name: str, *, create: bool) -> Iterator[None]:
    """Point MLflow at the registry for the length of a block, and keep it quiet.

    MLflow is pointed there for the whole process, so threads take turns.
    """
    with _ONE_AT_A_TIME:
        yield from _pointed(folder, name, create=create)


def _pointed(folder: Path, name: str, *, create: bool) -> Iterator[None]:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not create and not is_made(folder):
        raise RegistryError(no_champion(folder, name))
    levels = {logger: logging.getLogger(logger).level for logger in ("mlflow", "alembic")}
    for logger in levels:
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        if not uri:
            folder.mkdir(parents=True, exist_ok=True)
            follow_the_folder(folder)
            mlflow.set_tracking_uri(f"sqlite:///{(folder / DATABASE).resolve()}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="mlflow")
            yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise RegistryError(
            f"The registry {uri or str(folder)!r} could not be used ({first_line[:200]}); check "
            "that it can be reached and written to."
        ) from error
    finally:
        # Setting it also sets the environment variable, which would outrank the next folder.
        if not uri:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        for logger, level in levels.items():
            logging.getLogger(logger).setLevel(level)


def experiment(folder: Path, name: str) -> str:
    """Find the experiment of a model, or make it; inside :func:`tracking`."""
    existing = mlflow.get_experiment_by_name(name)
    if existing is not None:
        return str(existing.experiment_id)
    local = mlflow.get_tracking_uri().startswith("sqlite:")
    artifacts = (folder / "artifacts").resolve().as_uri() if local else None
    return str(mlflow.create_experiment(name, artifact_location=artifacts))


class TrainingRecord(TypedDict, total=False):
    """What was kept of a version's training."""

    metrics: dict[str, float | None]
    counts: TrainingCounts


def kept_json(run_id: str, file: str) -> Any:
    """Fetch a JSON file that was logged with a run; one of :data:`UNREADABLE` where it is gone."""
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{file}"))


def fetched_version(name: str, version: str | None, into: Path) -> Registered | None:
    """Fetch a registered version and its files through MLflow; inside :func:`tracking`.

    Parameters
    ----------
    name : str
        Registered model.
    version : str or None
        Which version; the champion when None.
    into : Path
        An empty folder for its files.

    Returns
    -------
    Registered or None
        None where the registry has none.
    """
    client = MlflowClient()
    try:
        if version is None:
            registered = client.get_model_version_by_alias(name, CHAMPION)
        else:
            registered = client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        return None
    run = client.get_run(str(registered.run_id))
    files = mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{registered.name}/{registered.version}", dst_path=str(into)
    )
    return Registered(
        version=str(registered.version),
        run_id=str(registered.run_id),
        created_ms=int(registered.creation_timestamp),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        seal=registered.tags.get(SEAL),
        files=Path(files),
        recorded_seal=_recorded_seal(client, str(registered.name), str(registered.version)),
    )


def _recorded_seal(client: MlflowClient, name: str, version: str) -> str | None:
    """Read the seal in the newest record of what was decided about a version."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    records = client.search_runs(
        [experiment.experiment_id],
        f"tags.`healthscore.version` = '{version}'",
        run_view_type=ViewType.ALL,
    )
    seals = {
        int(run.data.tags["healthscore.number"]): run.data.tags[SEAL]
        for run in records
        if run.data.tags.get(SEAL) and run.data.tags.get("healthscore.number", "").isdecimal()
    }
    return seals[max(seals)] if seals else None


def has_alias(name: str) -> bool:
    """Whether a registered model has a champion; inside :func:`tracking`."""
    models = MlflowClient().search_registered_models(filter_string=f"name = '{name}'")
    return any(CHAMPION in model.aliases for model in models)
