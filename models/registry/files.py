"""Logging into MLflow: the runs of trainings and backtests, with their files, figures and model."""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.models.model import ModelInfo
from mlflow.utils.validation import MAX_METRICS_PER_BATCH
from pandas.api.types import is_numeric_dtype

import features
import models
from features.outcomes.interventions import ACTED_ON
from models.registry import serving
from models.registry.chain import move_champion
from models.registry.folder import SEAL
from models.registry.session import HOLDOUT, TRAINING, experiment, tracking
from models.scoring.file_seal import seal_of
from models.scoring.health_model import MODEL_FOLDER, HealthModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from models.backtest.backtest import Backtest
    from models.training.fit import TrainingResult

CHALLENGER = "challenger"

REQUIREMENTS = ("lightgbm", "scikit-learn", "pandas", "numpy", "scipy")


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
    with mlflow.start_run(experiment_id=experiment(folder, name)) as run:
        _log_training(result, params=params, files=files, figures=figures)
        logged, seal = log_model(result.model)
        return register(logged, name, run.info.run_id, seal)


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
            experiment_id=experiment(folder, name),
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
    metrics = []
    for row in measures.to_dict("records"):
        place = f"{safe(row['contender'])}/{safe(row['segment'])}"
        step, moment = 0, now
        if row["origin"] != "all":
            place, step = f"by_origin/{place}", origins[row["origin"]]
            dated = pd.to_datetime(row["origin"], format="ISO8601", errors="coerce")
            moment = now if dated is pd.NaT else int(dated.timestamp() * 1000)
        if row["population"] != "all":
            place = f"{safe(row['population'])}/{place}"
        metrics += [
            Metric(f"{place}/{name}", float(row[name]), moment, step)
            for name in fields
            if pd.notna(row[name])
        ]
    return metrics


def _log_training(
    result: TrainingResult,
    *,
    params: Mapping[str, object],
    files: Mapping[str, str | Path],
    figures: Mapping[str, Figure],
) -> None:
    """Log with the open run what a training found."""
    mlflow.log_params({key: str(value)[:500] for key, value in params.items()})
    mlflow.log_params(
        {"rounds": result.choice["n_rounds"], "tree_share": result.choice["tree_share"]}
    )
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
    log_table(held_out(result), HOLDOUT)


def held_out(result: TrainingResult) -> pd.DataFrame:
    """Put together what was said of all held-out rows, those that judge nothing marked."""
    if result.acted_on is None:
        return result.holdout
    parts = [result.holdout.assign(**{ACTED_ON: False}), result.acted_on.assign(**{ACTED_ON: True})]
    return pd.concat(parts, ignore_index=True)


def log_table(table: pd.DataFrame, name: str) -> None:
    """Log a table as Parquet with the run that is open."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / name
        table.to_parquet(file, index=False)
        mlflow.log_artifact(str(file))


def log_model(model: HealthModel) -> tuple[ModelInfo, str]:
    """Log the model as files and code, and return with it the seal of its files.

    Requirements are given, for working them out is slow.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / MODEL_FOLDER
        model.save(files)
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name=MODEL_FOLDER,
            python_model=str(Path(str(serving.__file__))),
            artifacts={MODEL_FOLDER: str(files)},
            code_paths=[str(Path(str(room.__file__)).parent) for room in (features, models)],
            pip_requirements=[
                f"mlflow=={mlflow.__version__}",
                *(f"{package}=={version(package)}" for package in REQUIREMENTS),
            ],
            signature=serving.signature(model),
        )
        return logged, seal_of(files)


def register(logged: ModelInfo, name: str, run_id: str, seal: str) -> str:
    """Make a version of a registered model, which is made where there is none yet."""
    client = MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, logged.model_uri, run_id=run_id, model_id=logged.model_id, tags={SEAL: seal}
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
