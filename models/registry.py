"""The registry: champions kept in MLflow, in a folder or on a tracking server."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Set before MLflow is imported: it reads them once, and a score job has nothing to report home.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, Schema
from sqlalchemy.exc import SQLAlchemyError

import features
import models
from features.errors import RegistryError
from models import serving
from models.health_model import HealthModel
from models.training import TrainingResult

ALIAS = "champion"
REQUIREMENTS = ("mlflow", "lightgbm", "scikit-learn", "pandas", "numpy", "scipy")


def log_champion(
    result: TrainingResult,
    *,
    folder: Path,
    name: str,
    params: Mapping[str, object],
    files: Mapping[str, str | Path],
    figures: Mapping[str, Figure],
) -> str:
    """Log a training run and make its model the champion.

    The alias is moved last: a run that is killed before leaves the old champion in place.

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

    Returns
    -------
    str
        Version of the registered model.

    Raises
    ------
    RegistryError
        When MLflow refuses.
    """
    with (
        _tracking(folder, name, create=True),
        mlflow.start_run(experiment_id=_experiment(folder, name)) as run,
    ):
        mlflow.log_params({key: str(value)[:500] for key, value in params.items()})
        mlflow.log_params(
            {"backbone": result.choice["backbone"], "rounds": result.choice["rounds"]}
        )
        mlflow.log_metrics(_numbers(result))
        described = [signal.to_dict() for signal in result.model.signals]
        for file, content in {
            "catalogue.json": described,
            "weights.json": result.model.weights,
            "training.json": {
                "choice": result.choice,
                "counts": result.counts,
                "warnings": result.warnings,
                "bands": result.bands,
                "metrics": result.metrics.to_dict(),
                "segments": {k: m.to_dict() for k, m in result.segment_metrics.items()},
            },
        }.items():
            mlflow.log_text(json.dumps(content, indent=1), file)
        for file, text in files.items():
            if isinstance(text, Path):
                mlflow.log_artifact(str(text), str(Path(file).parent) if "/" in file else None)
            else:
                mlflow.log_text(text, file)
        for file, figure in figures.items():
            mlflow.log_figure(figure, file)
        registered = _register(_log_model(result.model), name, run.info.run_id)
        MlflowClient().set_registered_model_alias(name, ALIAS, registered)
    return registered


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
    with _tracking(folder, name, create=False):
        client = MlflowClient()
        try:
            found = client.get_model_version_by_alias(name, ALIAS)
        except MlflowException as error:
            raise RegistryError(_absent(folder, name)) from error
        run = client.get_run(str(found.run_id))
        with tempfile.TemporaryDirectory() as scratch:
            local = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{found.version}", dst_path=scratch
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


def _log_model(model: HealthModel) -> ModelInfo:
    """Log the model as files and code; requirements are given, for working them out is slow."""
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / serving.ARTIFACT
        model.save(files)
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name=serving.ARTIFACT,
            python_model=str(Path(str(serving.__file__))),
            artifacts={serving.ARTIFACT: str(files)},
            code_paths=[str(Path(str(room.__file__)).parent) for room in (features, models)],
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
            signature=_signature(model),
        )
    return logged


def _register(logged: ModelInfo, name: str, run_id: str) -> str:
    client = MlflowClient()
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(
        name, logged.model_uri, run_id=run_id, model_id=logged.model_id
    )
    return str(made.version)


def _signature(model: HealthModel) -> ModelSignature:
    """Columns a served model asks for; a signal may be absent from a row but not from the table."""
    types = {signal.name: DataType.double for signal in model.signals if not signal.is_categorical}
    if model.segments.settings.lifecycle:
        types.setdefault(model.segments.settings.tenure_column, DataType.double)
    columns = {"account_id": DataType.string, "observation_date": DataType.datetime}
    columns |= {name: types.get(name, DataType.string) for name in model.required_columns}
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in columns.items()]),
        outputs=Schema([ColSpec(kind, name) for name, kind in serving.OUTPUT.items()]),
    )


def _numbers(result: TrainingResult) -> dict[str, float]:
    numbers = {f"holdout_{key}": value for key, value in result.metrics.to_dict().items()}
    for segment, measured in result.segment_metrics.items():
        safe = "".join(c if c.isalnum() or c in " _-./" else "_" for c in segment)[:100]
        numbers |= {f"holdout_{k}/{safe}": v for k, v in measured.to_dict().items()}
    return {k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}


@contextmanager
def _tracking(folder: Path, name: str, *, create: bool) -> Iterator[None]:
    """Point MLflow at the registry for the length of a block, and keep it quiet."""
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
        f"No champion of {name!r} was found in the registry "
        f"{os.environ.get('MLFLOW_TRACKING_URI') or str(folder)!r}; train a model first."
    )
