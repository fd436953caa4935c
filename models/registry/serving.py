"""The model MLflow serves: loaded from code, fed feature rows, answering with scores and reasons.

MLflow runs this file itself (models from code), so no object is ever pickled. ``mlflow models
serve`` answers requests with it, ``mlflow.pyfunc.spark_udf`` scores the rows of a Spark table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from features.errors import DataError, HealthscoreError, sample
from models.scoring.health_model import MODEL_FOLDER, HealthModel
from models.scoring.scorer import Scorer
from models.scoring.timing.decisions import COLUMNS

REASONS = 5
OUTPUT: dict[str, DataType | Array] = {
    "segment": DataType.string,
    "score": DataType.double,
    "band": DataType.string,
    "probability": DataType.double,
    "probability_if_due": DataType.double,
    "coverage": DataType.double,
    "baseline_score": DataType.double,
    "reasons": Array(DataType.string),
    "reason_signals": Array(DataType.string),
    "reason_points": Array(DataType.double),
}


def signature(model: HealthModel) -> ModelSignature:
    """Describe the columns a served model asks for and answers with.

    Every column must be there, in any order; a value may be null where it is not known. Columns
    beyond these, such as ``account_id``, are let be, and answers come in the order of the rows.
    """
    numbers = {signal.name for signal in model.signals if not signal.is_categorical}
    if model.segments.settings.lifecycle:
        numbers.add(model.segments.settings.tenure_column)
    if model.timing is not None:
        numbers.update(COLUMNS)
    inputs = {
        name: DataType.double if name in numbers else DataType.string
        for name in model.required_columns
    }
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in inputs.items()]),
        outputs=Schema([ColSpec(kind, name) for name, kind in OUTPUT.items()]),
    )


class ServedHealthModel(PythonModel):
    """Health scores behind MLflow's pyfunc interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the health model from the logged artifacts."""
        self.scorer = Scorer(HealthModel.load(Path(context.artifacts[MODEL_FOLDER])))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Score feature rows.

        Parameters
        ----------
        context : PythonModelContext
            Not read: the model was loaded from it before.
        model_input : DataFrame of n rows
            The columns of :func:`signature`.
        params : dict or None
            There are none.

        Returns
        -------
        DataFrame of n rows
            The columns of :data:`OUTPUT`, row by row. ``reasons`` lists up to five sentences,
            largest absolute points first; ``reason_signals`` and ``reason_points`` list the signals
            they speak of and their points.

        Raises
        ------
        MlflowException
            When a value is of another type than at training, with the code that MLflow answers
            as status 400.
        """
        try:
            _refuse_nested(model_input)
            # Neither changes a score, so neither is asked for.
            rows = model_input.assign(account_id="", observation_date=np.datetime64("NaT"))
            scored = self.scorer.score(rows)
        except HealthscoreError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        found = scored.reasons(REASONS)
        said = {
            "reasons": [[reason.sentence for reason in row] for row in found],
            "reason_signals": [[reason.signal for reason in row] for row in found],
            "reason_points": [[reason.points for reason in row] for row in found],
        }
        lists = {name: pd.Series(values, dtype=object) for name, values in said.items()}
        return scored.table.assign(**lists)[list(OUTPUT)]


def _refuse_nested(rows: pd.DataFrame) -> None:
    """Refuse a list or an object for a name: as text it would pass for an unseen category."""
    for name, column in rows.select_dtypes(object).items():
        nested = [value for value in column if isinstance(value, list | dict)]
        if nested:
            raise DataError(
                f"Column {name!r} must hold text, or nothing where it is not known, but holds "
                f"{sample(nested)}; send one value per row."
            )


mlflow.models.set_model(ServedHealthModel())
