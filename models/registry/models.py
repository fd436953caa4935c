"""The registry of a model in MLflow, in a folder or on a server: its champion and its versions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import RegistryError, sample
from models.registry.folder import (
    Registered,
    is_elsewhere,
    is_made,
    kept_version,
    no_champion,
    place_of,
)
from models.scoring.health_model import MODEL_FOLDER, HealthModel

if TYPE_CHECKING:
    import pandas as pd

    from models.registry.versions import ChampionReference, VersionRecord


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
        with self._registered() as registered:
            if registered is None:
                raise RegistryError(absent)
            return self._of_outcome(_loaded(registered))

    def version(self, version: str) -> Champion:
        """Load a version, champion or not.

        Raises
        ------
        RegistryError
            When there is no such version, its files are gone, or it was taught another outcome.
        """
        place = place_of(self.folder)
        with self._registered(version) as registered:
            if registered is None:
                raise RegistryError(
                    f"Version {sample([version])} of {self.name!r} is not in the registry "
                    f"{place!r}, and only it can say what its scores were made of; restore it "
                    "there, or choose a date scored by a version that is there."
                )
            return self._of_outcome(_loaded(registered))

    def has_champion(self) -> bool:
        """Whether there is a champion to load; a registry that was never made has none.

        Raises
        ------
        RegistryError
            When the registry cannot be read.
        """
        if not is_made(self.folder):
            return False
        if not is_elsewhere() and kept_version(self.folder, self.name) is not None:
            return True
        from models.registry.session import has_alias, tracking

        with tracking(self.folder, self.name, create=False):
            return has_alias(self.name)

    def holdout(self, version: str, *, everything: bool = False) -> pd.DataFrame:
        """Fetch the rows a version was judged on: :func:`models.registry.versions.load_holdout`."""
        from models.registry.versions import load_holdout

        return load_holdout(self.folder, self.name, version, everything=everything)

    def reference(self, version: str) -> ChampionReference:
        """Fetch what it was taught with: :func:`models.registry.versions.load_reference`."""
        from models.registry.versions import load_reference

        return load_reference(self.folder, self.name, version)

    def record(self, version: str) -> VersionRecord:
        """Read what is on record of it: :func:`models.registry.versions.version_record`."""
        from models.registry.versions import version_record

        return version_record(self.folder, self.name, version)

    @contextmanager
    def _registered(self, version: str | None = None) -> Iterator[Registered | None]:
        """Find a version, the champion when None, with its files for the length of a block."""
        if not is_made(self.folder):
            raise RegistryError(no_champion(self.folder, self.name))
        if not is_elsewhere():
            registered = kept_version(self.folder, self.name, version)
            if registered is not None:
                yield registered
                return
        from models.registry.session import fetched_version, tracking

        with tracking(self.folder, self.name, create=False), tempfile.TemporaryDirectory() as own:
            yield fetched_version(self.name, version, Path(own))

    def _of_outcome(self, champion: Champion) -> Champion:
        """Refuse a model that was taught to foretell another outcome than is asked for."""
        asked = self.outcome
        is_good = champion.model.scale.good
        if asked is None or (champion.outcome, is_good) == (asked.kind, asked.is_good):
            return champion
        news = "good" if is_good else "bad"
        raise RegistryError(
            f"The model {self.name!r} was taught to predict {champion.outcome} as {news} news, and"
            f" [{asked.section}] now says kind = {asked.kind!r}; train again or give the new"
            " outcome a section of its own under [outcomes]"
        )


def _loaded(registered: Registered) -> Champion:
    """Load the files of a registered version."""
    created = datetime.fromtimestamp(registered.created_ms / 1000, UTC)
    recorded = registered.recorded_seal
    if recorded is not None and registered.seal not in (None, recorded):
        raise RegistryError(
            f"Version {registered.version} bears another seal than its record: its files or its"
            " tag were changed since; roll back to another version or train again."
        )
    files = registered.files / "artifacts" / MODEL_FOLDER
    return Champion(
        model=HealthModel.load(files, recorded or registered.seal),
        version=registered.version,
        run_id=registered.run_id,
        created_at=created.isoformat(timespec="seconds"),
        params=registered.params,
        metrics=registered.metrics,
    )
