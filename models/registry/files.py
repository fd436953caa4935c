"""What a training leaves behind in MLflow: its run's files and figures, and its model."""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo

import features
import models
from models.registry import serving
from models.scoring.health_model import HealthModel
from models.training.fit import TrainingResult

HOLDOUT, TRAINING = "holdout.parquet", "training.json"
UNREADABLE = (MlflowException, OSError, ValueError)
"""What comes of reading a file of a run that is gone or damaged."""
REQUIREMENTS = ("mlflow", "lightgbm", "scikit-learn", "pandas", "numpy", "scipy")


def log_training(
    result: TrainingResult,
    *,
    params: Mapping[str, object],
    files: Mapping[str, str | Path],
    figures: Mapping[str, Figure],
) -> None:
    """Log with the open run what a training found."""
    mlflow.log_params({key: str(value)[:500] for key, value in params.items()})
    mlflow.log_params({"backbone": result.choice["backbone"], "rounds": result.choice["rounds"]})
    mlflow.log_metrics(_numbers(result))
    described = {
        "catalogue.json": [signal.to_dict() for signal in result.model.signals],
        "weights.json": result.model.weights,
        TRAINING: {
            "choice": result.choice,
            "counts": result.counts,
            "warnings": result.warnings,
            "bands": result.bands,
            "metrics": result.metrics.to_dict(),
            "segments": {k: m.to_dict() for k, m in result.segment_metrics.items()},
        },
    }
    for file, content in described.items():
        mlflow.log_text(json.dumps(content, indent=1), file)
    for file, text in files.items():
        if isinstance(text, Path):
            mlflow.log_artifact(str(text), str(Path(file).parent) if "/" in file else None)
        else:
            mlflow.log_text(text, file)
    for file, figure in figures.items():
        mlflow.log_figure(figure, file)
    log_table(result.holdout, HOLDOUT)


def log_table(table: pd.DataFrame, name: str) -> None:
    """Log a table as Parquet with the run that is open."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / name
        table.to_parquet(file, index=False)
        mlflow.log_artifact(str(file))


def kept_json(run_id: str, file: str) -> Any:
    """Fetch a JSON file that was logged with a run; one of :data:`UNREADABLE` where it is gone."""
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{file}"))


def log_model(model: HealthModel) -> ModelInfo:
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
            signature=serving.signature(model),
        )
    return logged


def register(logged: ModelInfo, name: str, run_id: str) -> str:
    """Make a version of a registered model, which is made where there is none yet."""
    client = MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, logged.model_uri, run_id=run_id, model_id=logged.model_id
    )
    return str(made.version)


def _numbers(result: TrainingResult) -> dict[str, float]:
    numbers = {f"holdout_{key}": value for key, value in result.metrics.to_dict().items()}
    for segment, measured in result.segment_metrics.items():
        numbers |= {f"holdout_{k}/{safe(segment)}": v for k, v in measured.to_dict().items()}
    return {k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}


def safe(name: object) -> str:
    """Spell a name with the characters that every MLflow server takes in a metric."""
    clean = "".join(c if c.isalnum() or c in " _-./" else "_" for c in str(name))[:100]
    # MLflow takes a name for a path, and refuses one that leads elsewhere.
    if posixpath.normpath(f"_/{clean}") != f"_/{clean}":
        clean = clean.replace("/", "_").replace(".", "_") or "_"
    return clean
