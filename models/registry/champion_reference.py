"""What a champion was taught with, as it is kept beside it for the monitor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient

from features.errors import RegistryError
from models.drift.performance import Expected, expected_performance
from models.drift.reference import Reference, fit_reference
from models.registry.files import UNREADABLE, kept_json
from models.registry.holdout_rows import load_holdout
from models.registry.models import tracking
from models.scoring.health_model import SEGMENT, HealthModel, model_input

REFERENCE, DATA = "reference.json", "data.json"


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


def training_reference(model: HealthModel, frame: pd.DataFrame) -> Reference:
    """Count the rows a model was fitted to.

    Parameters
    ----------
    model : HealthModel
        The fitted model.
    frame : DataFrame of n rows
        The rows, with ``account_id``, ``observation_date`` and every column the model reads.

    Returns
    -------
    Reference
        With the model's segments and scores.
    """
    inputs = model_input(frame, model.signals, model.segments)
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    # The score alone: what it is made of is not counted, and costs the most.
    log_odds = model.calibrator.log_odds(model.classifier.decision_function(inputs), segment)
    return fit_reference(frame, model.signals, segment, score=model.scale.score(log_odds))


def load_reference(folder: Path, name: str, version: str) -> ChampionReference:
    """Fetch what a registered version was taught with.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.load_champion`.
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
        tables = frozenset(table for table, told in data["tables"].items() if told["rows"])
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
        found: dict[str, Any] = kept_json(run_id, file)
    except UNREADABLE as error:
        raise RegistryError(
            f"Version {version} of {name!r} is registered without the counts that later dates are "
            f"held against ({file}), as versions from before there was a monitor are; train again "
            "with 'healthscore train'."
        ) from error
    return found
