"""The registry: champions kept in MLflow, in a folder or on a tracking server."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Set before MLflow is imported: it reads them once, and a score job has nothing to report home.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# By default a server that is not there is asked for two minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_METRICS_PER_BATCH
from pandas.api.types import is_numeric_dtype
from sqlalchemy.exc import SQLAlchemyError

from features.errors import RegistryError, sample
from models.registry import serving
from models.registry.chain import move_champion
from models.registry.chain_record import CHAMPION
from models.registry.files import log_model, log_table, log_training, register, safe
from models.scoring.health_model import HealthModel
from models.training.fit import TrainingResult

if TYPE_CHECKING:
    from models.backtest.backtest import Backtest

CHALLENGER = "challenger"
_ONE_AT_A_TIME = threading.RLock()
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def log_champion(
    result: TrainingResult,
    *,
    folder: Path,
    name: str,
    params: Mapping[str, object],
    files: Mapping[str, str | Path],
    figures: Mapping[str, Figure],
    reasons: Sequence[str] = (),
) -> str:
    """Log a training run and make its model the champion.

    The alias is moved last, as :func:`models.registry.chain.move_champion` does: a run that is
    killed before leaves the old champion in place.

    Parameters
    ----------
    result : TrainingResult
        What was trained; its metrics, choice, counts and catalogue are logged.
    folder : Path
        Registry folder: ``mlflow.db`` and ``artifacts``. MLFLOW_TRACKING_URI, where set, is used
        in its place.
    name : str
        Registered model and experiment.
    params : mapping of str to object
        Settings and fingerprints worth comparing between runs.
    files : mapping of str to str or Path
        Artifact name to its text, or to a file to copy.
    figures : mapping of str to Figure
        Artifact name, such as "reliability.png", to plot.
    reasons : sequence of str
        Why it becomes the champion, for the record.

    Returns
    -------
    str
        Version of the registered model.

    Raises
    ------
    RegistryError
        When MLflow refuses, or another promotion is just now under way.
    """
    with tracking(folder, name, create=True):
        registered = _log_version(result, folder, name, params, files, figures)
        move_champion(name, registered, action="train", reasons=reasons)
    return registered


def log_challenger(
    result: TrainingResult,
    *,
    folder: Path,
    name: str,
    params: Mapping[str, object],
    files: Mapping[str, str | Path],
    figures: Mapping[str, Figure],
) -> str:
    """Log a training run and make its model the challenger; the champion stays.

    Parameters are those of :func:`log_champion`.

    Returns
    -------
    str
        Version of the registered model.

    Raises
    ------
    RegistryError
        When MLflow refuses.
    """
    with tracking(folder, name, create=False):
        registered = _log_version(result, folder, name, params, files, figures)
        MlflowClient().set_registered_model_alias(name, CHALLENGER, registered)
    return registered


def _log_version(
    result: TrainingResult,
    folder: Path,
    name: str,
    params: Mapping[str, object],
    files: Mapping[str, str | Path],
    figures: Mapping[str, Figure],
) -> str:
    with mlflow.start_run(experiment_id=_experiment(folder, name)) as run:
        log_training(result, params=params, files=files, figures=figures)
        return register(log_model(result.model), name, run.info.run_id)


def load_champion(folder: Path, name: str) -> tuple[HealthModel, str, dict[str, Any]]:
    """Load the champion.

    Returns
    -------
    model : HealthModel
        The model.
    version : str
        Its version in the registry.
    metadata : dict
        ``run_id``, ``created_at`` (ISO, UTC), ``params``, ``metrics`` and ``tags`` of its run.

    Raises
    ------
    RegistryError
        When there is no champion, or its files are gone.
    """
    absent = _absent(folder, name)
    with tracking(folder, name, create=False):
        try:
            found = MlflowClient().get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            if error.error_code not in NOT_THERE:
                raise
            raise RegistryError(absent) from error
        return _load(found)


def load_version(folder: Path, name: str, version: str) -> tuple[HealthModel, str, dict[str, Any]]:
    """Load the model of a version, champion or not, as :func:`load_champion` does.

    Raises
    ------
    RegistryError
        When there is no such version, or its files are gone.
    """
    place = _place(folder)
    with tracking(folder, name, create=False):
        try:
            found = MlflowClient().get_model_version(name, version)
        except MlflowException as error:
            if error.error_code not in NOT_THERE:
                raise
            raise RegistryError(
                f"Version {sample([version])} of {name!r} is not in the registry {place!r}, and "
                "only it can say what its scores were made of; restore it there, or choose a date "
                "scored by a version that is there."
            ) from error
        return _load(found)


def _load(found: ModelVersion) -> tuple[HealthModel, str, dict[str, Any]]:
    """Fetch the files of a registered version, and the facts of its run."""
    run = MlflowClient().get_run(str(found.run_id))
    with tempfile.TemporaryDirectory() as scratch:
        local = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{found.name}/{found.version}", dst_path=scratch
        )
        model = HealthModel.load(Path(local) / "artifacts" / serving.ARTIFACT)
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return (
        model,
        str(found.version),
        {
            "run_id": found.run_id,
            "created_at": created.isoformat(timespec="seconds"),
            "params": dict(run.data.params),
            "metrics": dict(run.data.metrics),
            "tags": {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")},
        },
    )


def has_champion(folder: Path, name: str) -> bool:
    """Whether there is a champion to load; a registry that was never made has none.

    Raises
    ------
    RegistryError
        When the registry cannot be read.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (folder / "mlflow.db").exists():
        return False
    with tracking(folder, name, create=False):
        found = MlflowClient().search_registered_models(filter_string=f"name = '{name}'")
        return any(CHAMPION in model.aliases for model in found)


def log_backtest(
    result: Backtest,
    *,
    folder: Path,
    name: str,
    params: Mapping[str, object],
    files: Mapping[str, str],
    figures: Mapping[str, Figure],
) -> str:
    """Log a backtest as a run beside the champions' runs; no model is registered.

    A measure of one origin is logged under ``by_origin/`` with the origin's number as its step and
    its date as its time, so that MLflow draws it along the history. The tested rows become
    ``predictions.parquet``, everything else that was found ``backtest.json``.

    Parameters
    ----------
    result : Backtest
        What was found.
    folder, name, params, figures
        As for :func:`log_champion`.
    files : mapping of str to str
        Artifact name to its text.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    RegistryError
        When MLflow refuses.
    """
    with (
        tracking(folder, name, create=True),
        mlflow.start_run(
            experiment_id=_experiment(folder, name),
            run_name="backtest",
            tags={"healthscore.kind": "backtest"},
        ) as run,
    ):
        mlflow.log_params({key: str(value)[:500] for key, value in params.items()})
        measured = _measured(result.measures)
        for first in range(0, len(measured), MAX_METRICS_PER_BATCH):
            batch = measured[first : first + MAX_METRICS_PER_BATCH]
            MlflowClient().log_batch(run.info.run_id, metrics=batch)
        log_table(result.predictions, "predictions.parquet")
        mlflow.log_text(json.dumps(result.to_dict(), indent=1, allow_nan=False), "backtest.json")
        for file, text in files.items():
            mlflow.log_text(text, file)
        for file, figure in figures.items():
            mlflow.log_figure(figure, file)
    return str(run.info.run_id)


def _measured(measures: pd.DataFrame) -> list[Metric]:
    """Turn the tidy table into metrics: whole history, per segment, untreated rows, per origin."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    fields = [name for name in measures if is_numeric_dtype(measures[name])]
    named = measures.loc[measures["origin"] != "all", "origin"].unique()
    origins = {origin: step for step, origin in enumerate(named)}
    found = []
    for row in measures.to_dict("records"):
        place = f"{safe(row['contender'])}/{safe(row['segment'])}"
        step, moment = 0, now
        if row["origin"] != "all":
            place, step = f"by_origin/{place}", origins[row["origin"]]
            dated = pd.to_datetime(row["origin"], format="ISO8601", errors="coerce")
            moment = now if dated is pd.NaT else int(dated.timestamp() * 1000)
        if row["population"] != "all":
            place = f"{safe(row['population'])}/{place}"
        found += [
            Metric(f"{place}/{name}", float(row[name]), moment, step)
            for name in fields
            if pd.notna(row[name])
        ]
    return found


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
        raise RegistryError(_absent(folder, name))
    levels = {logger: logging.getLogger(logger).level for logger in ("mlflow", "alembic")}
    for logger in levels:
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        if not uri:
            folder.mkdir(parents=True, exist_ok=True)
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


def _experiment(folder: Path, name: str) -> str:
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = mlflow.get_tracking_uri().startswith("sqlite:")
    artifacts = (folder / "artifacts").resolve().as_uri() if local else None
    return str(mlflow.create_experiment(name, artifact_location=artifacts))


def _absent(folder: Path, name: str) -> str:
    return (
        f"No champion of {name!r} was found in the registry {_place(folder)!r}; train a model "
        "first."
    )


def _place(folder: Path) -> str:
    """Name the registry as the user did; inside a tracking block MLflow sets the variable."""
    return os.environ.get("MLFLOW_TRACKING_URI") or str(folder)
