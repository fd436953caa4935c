"""The rows a registered model was judged on, as it judged them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from features.errors import RegistryError
from models.registry.files import HOLDOUT
from models.registry.models import tracking


def load_holdout(folder: Path, name: str, version: str) -> pd.DataFrame:
    """Fetch the hold-out of a registered version.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.load_champion`.
    version : str
        Which version.

    Returns
    -------
    DataFrame
        ``account_id``, ``observation_date``, ``happened``, ``segment``, ``probability`` and
        ``score``, as the model said before it was refitted to these rows too.

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
        return pd.read_parquet(file)
