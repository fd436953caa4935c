"""What was logged beside the champions, read back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from features.errors import RegistryError
from models.registry.files import UNREADABLE, kept_json
from models.registry.models import tracking

BACKTEST = "backtest.json"
MEASURES = (
    "contender",
    "rows",
    "positives",
    *(f"{name}{bound}" for name in ("auc", "log_loss") for bound in ("", "_low", "_high")),
)


def newest_backtest(folder: Path, name: str) -> dict[str, Any] | None:
    """Read what the newest backtest of a model found.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.load_champion`.

    Returns
    -------
    dict or None
        ``run_id``; ``logged_at`` (datetime, UTC without a zone); ``champion``, the version whose
        parameters were used, or None; ``measures``, per contender over all tested rows
        ``contender``, ``rows``, ``positives``, ``auc`` and ``log_loss``, both with their 90 %
        interval ``_low``, ``_high`` (None where it is not known); ``versus``, see
        :class:`models.backtest.backtest.Backtest`; ``origins``; ``tested_from`` and
        ``tested_until`` (ISO dates). None where no backtest ended well.

    Raises
    ------
    RegistryError
        When the registry, or what that backtest found, cannot be read.
    """
    with tracking(folder, name, create=False):
        experiment = mlflow.get_experiment_by_name(name)
        if experiment is None:
            return None
        found = MlflowClient().search_runs(
            [experiment.experiment_id],
            "tags.`healthscore.kind` = 'backtest' and attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return _read(found[0]) if found else None


def _read(run: Run) -> dict[str, Any]:
    run_id = str(run.info.run_id)
    try:
        told = kept_json(run_id, BACKTEST)
        measures = [
            {field: row[field] for field in MEASURES}
            for row in told["measures"]
            if row["origin"] == row["segment"] == row["population"] == "all"
        ]
        counts = told["counts"]
        champion = run.data.params.get("champion", "None")
        return {
            "run_id": run_id,
            "logged_at": datetime.fromtimestamp(run.info.start_time / 1000, UTC).replace(
                tzinfo=None, microsecond=0
            ),
            "champion": None if champion == "None" else champion,
            "measures": measures,
            "versus": told["versus"],
            "origins": counts["origins"],
            "tested_from": counts["tested_from"],
            "tested_until": counts["tested_until"],
        }
    except (*UNREADABLE, KeyError, TypeError) as error:
        raise RegistryError(
            f"The backtest of run {run_id} left no {BACKTEST} that can be read; run 'healthscore "
            "backtest' again."
        ) from error
