"""What was logged with a version: hold-out rows, training record, reference, backtest."""

from __future__ import annotations

import tempfile
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypedDict

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from features.errors import RegistryError
from features.outcomes.interventions import ACTED_ON
from models.churn.coded import Rows
from models.drift.performance import Expected, expected_performance
from models.drift.reference import Reference, fit_reference
from models.measures.estimate import Estimate
from models.measures.offset_spread import offset_error, offset_spread
from models.registry.session import (
    HOLDOUT,
    TRAINING,
    UNREADABLE,
    TrainingRecord,
    kept_json,
    tracking,
)
from models.scoring.health_model import SEGMENT, HealthModel, model_input
from models.training.splits import left_alone

REFERENCE, DATA, BACKTEST = "reference.json", "data.json", "backtest.json"


class MeasuredContender(TypedDict):
    """What a logged backtest measured of a contender over all rows, with 90 % intervals."""

    contender: str
    rows: int
    positives: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    log_loss: float
    log_loss_low: float | None
    log_loss_high: float | None


class LoggedComparison(TypedDict):
    """See :class:`models.backtest.comparison.Comparison`."""

    contender: str
    difference: float
    low: float
    high: float
    verdict: str


class LoggedBacktest(TypedDict):
    """What a backtest found.

    ``logged_at`` is UTC without a zone, ``champion`` the version whose parameters were used, or
    None, and ``tested_from`` and ``tested_until`` are ISO dates.
    """

    run_id: str
    logged_at: datetime
    champion: str | None
    measures: list[MeasuredContender]
    versus: list[LoggedComparison]
    origins: int
    tested_from: str
    tested_until: str


@dataclass(frozen=True)
class VersionRecord:
    """A registered version, without its model.

    Attributes
    ----------
    version : str
        Which one.
    taught_until : date
        The newest observation date whose outcomes taught it.
    holdout : DataFrame or None
        The rows it was judged on; see :func:`load_holdout`. None for
        models from before they were kept.
    spread : float or None
        How far it may be off on later dates; see
        :func:`models.measures.offset_spread.offset_spread`. Without the hold-out's rows it is the
        error of calibration in the large alone; None where the hold-out held one class.
    """

    version: str
    taught_until: date
    holdout: pd.DataFrame | None
    spread: float | None


@dataclass(frozen=True)
class ChampionReference:
    """What later dates are held against.

    Attributes
    ----------
    reference : Reference
        Of the rows the champion was fitted to.
    expected : tuple of Expected
        What its probabilities promised on each date it was judged on, before it had learnt from
        it: what a model says of rows it was fitted to is too sure.
    known_until : date
        The first day of which nothing was known when it was trained: the day of its training as
        the tables count days, which is not the day of the machine's clock where history is
        replayed.
    tables : frozenset of str
        Tables that held rows then.
    """

    reference: Reference
    expected: tuple[Expected, ...]
    known_until: date
    tables: frozenset[str] = frozenset()


def load_holdout(
    folder: Path, name: str, version: str, *, everything: bool = False
) -> pd.DataFrame:
    """Fetch the hold-out of a registered version.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    version : str
        Which version.
    everything : bool
        Whether held-out rows that judge nothing, because somebody acted on them, are wanted too.

    Returns
    -------
    DataFrame
        ``account_id``, ``observation_date``, ``happened``, ``segment``, ``probability`` and
        ``score``, as the model said before it was refitted to these rows too; also
        ``probability_if_due`` and ``due``, but for versions from before timing was told apart.

    Raises
    ------
    RegistryError
        When the version was registered without them, or cannot be reached.
    """
    with tracking(folder, name, create=False), tempfile.TemporaryDirectory() as scratch:
        run_id = str(MlflowClient().get_model_version(name, version).run_id)
        try:
            file = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=HOLDOUT, dst_path=scratch
            )
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"Version {version!r} of {name!r} is registered without the rows it was judged on "
                f"({HOLDOUT}); train again to replay weights over them."
            ) from error
        rows = pd.read_parquet(file)
    if everything or ACTED_ON not in rows:
        return rows
    return rows[left_alone(rows)].drop(columns=ACTED_ON).reset_index(drop=True)


def version_record(folder: Path, name: str, version: str) -> VersionRecord:
    """Read what is on record of a registered version.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    version : str
        Which version.

    Raises
    ------
    RegistryError
        When the version or its record is not there.
    """
    training = _training(folder, name, version)
    try:
        holdout = load_holdout(folder, name, version)
    except RegistryError:
        holdout = None
    if holdout is None:
        offset = Estimate.read(training["metrics"], "calibration_in_the_large")
        spread = None if None in astuple(offset) else offset_error(offset)
    else:
        spread = spread_of(holdout)
    taught_until = date.fromisoformat(training["counts"]["last_date"])
    return VersionRecord(version, taught_until, holdout, spread)


def spread_of(rows: pd.DataFrame) -> float | None:
    """Return :func:`models.measures.offset_spread.offset_spread` of hold-out rows."""
    columns = (rows[name] for name in ("happened", "probability", "account_id", "observation_date"))
    return offset_spread(*columns)


def training_reference(model: HealthModel, frame: Rows) -> Reference:
    """Count the rows a model was fitted to.

    Parameters
    ----------
    model : HealthModel
        The fitted model.
    frame : DataFrame or CodedTable of n rows
        The rows, with ``account_id``, ``observation_date`` and every column the model reads.

    Returns
    -------
    Reference
        With the model's segments and scores.
    """
    inputs = model_input(frame, model.signals, model.segments)
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    # The score alone: what it is made of is not counted, and costs the most.
    margins = model.classifier.decision_function(inputs)
    kinds = None if model.timing is None else model.timing.decisions.kinds(frame)
    log_odds = model.calibrator.log_odds(margins, segment, kinds)
    if kinds is not None:
        log_odds = log_odds - model.scale.shift(kinds)
    return fit_reference(frame, model.signals, segment, score=model.scale.score(log_odds))


def load_reference(folder: Path, name: str, version: str) -> ChampionReference:
    """Fetch what a registered version was taught with.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    version : str
        Which version.

    Raises
    ------
    RegistryError
        When it was registered without, or it cannot be read.
    """
    with tracking(folder, name, create=False):
        run_id = str(MlflowClient().get_model_version(name, version).run_id)
        described = _artifact(run_id, REFERENCE, name, version)
        data = _artifact(run_id, DATA, name, version)
    try:
        known_until = date.fromisoformat(data["data_end"])
        tables = frozenset(table for table, counts in data["tables"].items() if counts["rows"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(
            f"Version {version} of {name!r} does not tell what its tables held ({DATA} is "
            "damaged); train again with 'healthscore train'."
        ) from error
    holdout = load_holdout(folder, name, version)
    expected = [
        expected_performance(rows["probability"].to_numpy(dtype=float))
        for _, rows in holdout.groupby("observation_date", sort=True)
    ]
    return ChampionReference(Reference.from_dict(described), tuple(expected), known_until, tables)


def _artifact(run_id: str, file: str, name: str, version: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = kept_json(run_id, file)
    except UNREADABLE as error:
        raise RegistryError(
            f"Version {version} of {name!r} is registered without the counts that later dates are "
            f"held against ({file}), as versions from before there was a monitor are; train again "
            "with 'healthscore train'."
        ) from error
    return content


def newest_backtest(folder: Path, name: str) -> LoggedBacktest | None:
    """Read what the newest backtest of a model found.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.

    Returns
    -------
    LoggedBacktest or None
        None where no backtest ended well.

    Raises
    ------
    RegistryError
        When the registry, or what that backtest found, cannot be read.
    """
    with tracking(folder, name, create=False):
        experiment = mlflow.get_experiment_by_name(name)
        if experiment is None:
            return None
        runs = MlflowClient().search_runs(
            [experiment.experiment_id],
            "tags.`healthscore.kind` = 'backtest' and attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return _backtest(runs[0]) if runs else None


def _backtest(run: Run) -> LoggedBacktest:
    run_id = str(run.info.run_id)
    try:
        backtest = kept_json(run_id, BACKTEST)
        measures: list[MeasuredContender] = [
            {field: row[field] for field in MeasuredContender.__annotations__}  # type: ignore[misc]
            for row in backtest["measures"]
            if row["origin"] == row["segment"] == row["population"] == "all"
        ]
        counts = backtest["counts"]
        champion = run.data.params.get("champion", "None")
        return {
            "run_id": run_id,
            "logged_at": datetime.fromtimestamp(run.info.start_time / 1000, UTC).replace(
                tzinfo=None, microsecond=0
            ),
            "champion": None if champion == "None" else champion,
            "measures": measures,
            "versus": backtest["versus"],
            "origins": counts["origins"],
            "tested_from": counts["tested_from"],
            "tested_until": counts["tested_until"],
        }
    except (*UNREADABLE, KeyError, TypeError) as error:
        raise RegistryError(
            f"The backtest of run {run_id} left no {BACKTEST} that can be read; run 'healthscore "
            "backtest' again."
        ) from error


def _training(folder: Path, name: str, version: str) -> TrainingRecord:
    with tracking(folder, name, create=False):
        try:
            run_id = str(MlflowClient().get_model_version(name, version).run_id)
            training: TrainingRecord = kept_json(run_id, TRAINING)
        except UNREADABLE as error:
            raise RegistryError(
                f"Version {version[:60]!r} of {name!r} has no record of its training ({TRAINING}) "
                "in the registry; restore it there, or choose a run of another version."
            ) from error
        return training
