"""The registry of a model in MLflow, in a folder or on a server: its champion and its versions."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from features.errors import RegistryError, sample
from models.registry.chain_record import CHAMPION, SEAL
from models.registry.session import no_champion, place_of, tracking
from models.scoring.health_model import MODEL_FOLDER, HealthModel

if TYPE_CHECKING:
    import pandas as pd

    from models.registry.versions import ChampionReference, VersionRecord

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Champion:
    """A registered version with its model: the champion of now, or one that was or may become it.

    Attributes
    ----------
    model : HealthModel
        The model.
    version : str
        Its version in the registry.
    run_id : str
        The run that taught it.
    created_at : str
        When it was registered: ISO, UTC.
    params : dict of str to str
        Settings and fingerprints of its training.
    metrics : dict of str to float
        What its training measured.
    """

    model: HealthModel
    version: str
    run_id: str
    created_at: str
    params: dict[str, str]
    metrics: dict[str, float]

    @property
    def foretells(self) -> bool:
        """Whether there was enough evidence that behaviour foretells the outcome."""
        return self.metrics.get("holdout_enough_evidence", 0.0) == 1.0

    @property
    def outcome(self) -> str:
        """Kind of the outcome it was taught; models that do not say were taught churn."""
        return self.params.get("outcome", "churn")


@dataclass(frozen=True)
class AskedOutcome:
    """The outcome that whoever reads a registry wants foretold.

    Attributes
    ----------
    kind : str
        As in the configuration.
    is_good : bool
        Whether it is good news.
    section : str
        Section of the configuration that says so.
    """

    kind: str
    is_good: bool
    section: str


@dataclass(frozen=True)
class Registry:
    """A registered model in its registry.

    Parameters
    ----------
    folder : Path
        Registry folder: ``mlflow.db`` and ``artifacts``. MLFLOW_TRACKING_URI, where set, is used
        in its place.
    name : str
        Registered model and experiment.
    outcome : AskedOutcome or None
        What its versions must foretell; None lets every one pass.
    """

    folder: Path
    name: str
    outcome: AskedOutcome | None = None

    def champion(self) -> Champion:
        """Load the champion.

        Raises
        ------
        RegistryError
            When there is no champion, its files are gone, or it was taught another outcome.
        """
        absent = no_champion(self.folder, self.name)
        with tracking(self.folder, self.name, create=False):
            try:
                registered = MlflowClient().get_model_version_by_alias(self.name, CHAMPION)
            except MlflowException as error:
                if error.error_code not in NOT_THERE:
                    raise
                raise RegistryError(absent) from error
            return self._of_outcome(_loaded(registered))

    def version(self, version: str) -> Champion:
        """Load a version, champion or not.

        Raises
        ------
        RegistryError
            When there is no such version, its files are gone, or it was taught another outcome.
        """
        place = place_of(self.folder)
        with tracking(self.folder, self.name, create=False):
            try:
                registered = MlflowClient().get_model_version(self.name, version)
            except MlflowException as error:
                if error.error_code not in NOT_THERE:
                    raise
                raise RegistryError(
                    f"Version {sample([version])} of {self.name!r} is not in the registry "
                    f"{place!r}, and only it can say what its scores were made of; restore it "
                    "there, or choose a date scored by a version that is there."
                ) from error
            return self._of_outcome(_loaded(registered))

    def has_champion(self) -> bool:
        """Whether there is a champion to load; a registry that was never made has none.

        Raises
        ------
        RegistryError
            When the registry cannot be read.
        """
        if not os.environ.get("MLFLOW_TRACKING_URI") and not (self.folder / "mlflow.db").exists():
            return False
        with tracking(self.folder, self.name, create=False):
            models = MlflowClient().search_registered_models(filter_string=f"name = '{self.name}'")
            return any(CHAMPION in model.aliases for model in models)

    def holdout(self, version: str) -> pd.DataFrame:
        """Fetch the rows a version was judged on: :func:`models.registry.versions.load_holdout`."""
        from models.registry.versions import load_holdout

        return load_holdout(self.folder, self.name, version)

    def reference(self, version: str) -> ChampionReference:
        """Fetch what it was taught with: :func:`models.registry.versions.load_reference`."""
        from models.registry.versions import load_reference

        return load_reference(self.folder, self.name, version)

    def record(self, version: str) -> VersionRecord:
        """Read what is on record of it: :func:`models.registry.versions.version_record`."""
        from models.registry.versions import version_record

        return version_record(self.folder, self.name, version)

    def _of_outcome(self, champion: Champion) -> Champion:
        """Refuse a model that was taught to foretell another outcome than is asked for."""
        asked = self.outcome
        is_good = champion.model.scale.good
        if asked is None or (champion.outcome, is_good) == (asked.kind, asked.is_good):
            return champion
        news = "good" if is_good else "bad"
        raise RegistryError(
            f"The model {self.name!r} was taught to foretell {champion.outcome} as {news} news, and"
            f" [{asked.section}] now says kind = {asked.kind!r}; train again or give the new"
            " outcome a section of its own under [outcomes]"
        )


def _loaded(registered: ModelVersion) -> Champion:
    """Fetch the files of a registered version, and the facts of its run."""
    run = MlflowClient().get_run(str(registered.run_id))
    with tempfile.TemporaryDirectory() as scratch:
        local = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{registered.name}/{registered.version}", dst_path=scratch
        )
        # Versions from before files were sealed have no such tag.
        seal = registered.tags.get(SEAL)
        model = HealthModel.load(Path(local) / "artifacts" / MODEL_FOLDER, seal)
    created = datetime.fromtimestamp(registered.creation_timestamp / 1000, UTC)
    return Champion(
        model=model,
        version=str(registered.version),
        run_id=str(registered.run_id),
        created_at=created.isoformat(timespec="seconds"),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )
