"""What was put on record when a model was registered: how far it had been taught, and its proof."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient

from features.errors import RegistryError
from models.measures.offset_spread import offset_error, offset_spread
from models.measures.recalibration import Recalibration
from models.registry.files import TRAINING, UNREADABLE, kept_json
from models.registry.holdout_rows import load_holdout
from models.registry.models import tracking


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
        The rows it was judged on; see :func:`models.registry.holdout_rows.load_holdout`. None for
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


def version_record(folder: Path, name: str, version: str) -> VersionRecord:
    """Read what is on record of a registered version.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.load_champion`.
    version : str
        Which version.

    Raises
    ------
    RegistryError
        When the version or its record is not there.
    """
    told = _training(folder, name, version)
    try:
        holdout = load_holdout(folder, name, version)
    except RegistryError:
        holdout = None
    if holdout is None:
        measured = [
            told["metrics"].get(f"calibration_in_the_large{end}") for end in ("", "_low", "_high")
        ]
        spread = None if None in measured else offset_error(Recalibration(*measured))
    else:
        spread = spread_of(holdout)
    taught_until = date.fromisoformat(told["counts"]["last_date"])
    return VersionRecord(version, taught_until, holdout, spread)


def spread_of(rows: pd.DataFrame) -> float | None:
    """Return :func:`models.measures.offset_spread.offset_spread` of hold-out rows."""
    columns = (rows[name] for name in ("happened", "probability", "account_id", "observation_date"))
    return offset_spread(*columns)


def _training(folder: Path, name: str, version: str) -> dict[str, Any]:
    with tracking(folder, name, create=False):
        try:
            run_id = str(MlflowClient().get_model_version(name, version).run_id)
            told: dict[str, Any] = kept_json(run_id, TRAINING)
        except UNREADABLE as error:
            raise RegistryError(
                f"Version {version[:60]!r} of {name!r} has no record of its training ({TRAINING}) "
                "in the registry; restore it there, or choose a run of another version."
            ) from error
        return told
