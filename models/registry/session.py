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
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from features.errors import RegistryError
from models.registry.relocation import follow_the_folder

if TYPE_CHECKING:
    from models.training.fit import TrainingCounts

HOLDOUT, TRAINING = "holdout.parquet", "training.json"
"""What a training leaves with its run."""
UNREADABLE = (MlflowException, OSError, ValueError, RecursionError)
"""What comes of reading a file of a run that is gone or damaged."""
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
    if not uri and not create and not (folder / "mlflow.db").exists():
        raise RegistryError(no_champion(folder, name))
    levels = {logger: logging.getLogger(logger).level for logger in ("mlflow", "alembic")}
    for logger in levels:
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        if not uri:
            folder.mkdir(parents=True, exist_ok=True)
            follow_the_folder(folder)
            mlflow.set_tracking_uri(f"sqlite:///{(folder / 'mlflow.db').resolve()}")
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


def no_champion(folder: Path, name: str) -> str:
    """Say that there is none."""
    return (
        f"No champion of {name!r} was found in the registry {place_of(folder)!r}; train a model "
        "first."
    )


def place_of(folder: Path) -> str:
    """Name the registry as the user did; inside a tracking block MLflow sets the variable."""
    return os.environ.get("MLFLOW_TRACKING_URI") or str(folder)


class TrainingRecord(TypedDict, total=False):
    """What was kept of a version's training."""

    metrics: dict[str, float | None]
    counts: TrainingCounts


def kept_json(run_id: str, file: str) -> Any:
    """Fetch a JSON file that was logged with a run; one of :data:`UNREADABLE` where it is gone."""
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{file}"))
