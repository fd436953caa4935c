"""The model MLflow serves: loaded from code, fed feature rows, answering with scores and reasons.

MLflow runs this file itself (models from code), so no object is ever pickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import DataType

from models.health_model import HealthModel

ARTIFACT = "health_model"
OUTPUT = {
    "score": DataType.double,
    "band": DataType.string,
    "grade": DataType.string,
    "probability": DataType.double,
    "coverage": DataType.double,
    "reasons": DataType.string,
}


class ServedHealthModel(PythonModel):
    """Health scores behind MLflow's pyfunc interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the health model from the logged artifacts."""
        self.model = HealthModel.load(Path(context.artifacts[ARTIFACT]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Score feature rows; ``reasons`` is a JSON list of sentences, largest points first."""
        scored = self.model.score(model_input)
        said = [
            json.dumps([reason.sentence for reason in row], ensure_ascii=False)
            for row in scored.reasons()
        ]
        return scored.table.assign(reasons=said)[list(OUTPUT)]


mlflow.models.set_model(ServedHealthModel())
