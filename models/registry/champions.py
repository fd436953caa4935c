"""Champions and challengers of a registered model: who is promoted, put back, and became what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from features.errors import RegistryError, sample
from features.json_values import Json, JsonReady
from models.registry.chain import (
    aliases_of,
    move_champion,
    note_rejection,
    predecessor,
    recovered_chain,
)
from models.registry.chain_record import Record
from models.registry.folder import CHAMPION, PREVIOUS, SEAL
from models.registry.session import TRAINING, UNREADABLE, TrainingRecord, kept_json, tracking

if TYPE_CHECKING:
    from models.training.fit import TrainingCounts

MOVES = ("train", "promote", "rollback")


@dataclass(frozen=True)
class Version(JsonReady):
    """A registered version and what became of it.

    Attributes
    ----------
    version : str
        Its number.
    made_at : datetime
        When it was registered, in UTC.
    became : str
        "champion", "rejected", "rolled back", "replaced", or "registered" where no record that
        was carried out speaks of it.
    counts : dict
        What it was taught with; see :class:`models.training.fit.TrainingResult`. Empty where its
        files are gone.
    log_loss, auc : float or None
        On the dates it was judged on when it was trained.
    """

    version: str
    made_at: datetime
    became: str
    counts: TrainingCounts
    log_loss: float | None
    auc: float | None

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return super().to_dict() | {"made_at": self.made_at.isoformat(timespec="seconds")}


@dataclass(frozen=True)
class History:
    """All that is known about a model's champions.

    Attributes
    ----------
    name : str
        The registered model.
    serving, previous : str or None
        The champion, and who a rollback puts back.
    versions : tuple of Version
        Oldest first.
    records : tuple of Record
        What was decided, oldest first.
    notes : tuple of str
        What people should know, one sentence each.
    """

    name: str
    serving: str | None
    previous: str | None
    versions: tuple[Version, ...]
    records: tuple[Record, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> Json:
        """Return what ``history --json`` prints."""
        return {
            "model": self.name,
            "serving": self.serving,
            "previous": self.previous,
            "versions": [version.to_dict() for version in self.versions],
            "records": [record.to_dict() for record in self.records],
            "notes": list(self.notes),
        }


def history(folder: Path, name: str) -> History:
    """Read every version of a model and what was decided about it.

    What a killed command left unfinished is settled first.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.

    Raises
    ------
    RegistryError
        When no model was ever registered, or the registry cannot be read.
    """
    with tracking(folder, name, create=False):
        found = _versions(name)
        records = recovered_chain(name)
        aliases = aliases_of(name)
        serving = aliases.get(CHAMPION)
        return History(
            name=name,
            serving=serving,
            previous=aliases.get(PREVIOUS),
            versions=tuple(_described(version, records, serving) for version in found),
            records=tuple(records),
            notes=(*_notes(records, serving), *_seal_notes(found, records, serving)),
        )


def promote(
    folder: Path, name: str, version: str, *, instead_of: str, reasons: Sequence[str]
) -> Record:
    """Make a challenger the champion; see :func:`models.registry.chain.move_champion`.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    version : str
        The challenger's.
    instead_of : str
        The champion it was judged against.
    reasons : sequence of str
        What the judging found, one sentence each.

    Raises
    ------
    RegistryError
        When somebody else came first; the challenger stays registered.
    """
    with tracking(folder, name, create=False):
        return move_champion(
            name, version, action="promote", reasons=reasons, instead_of=instead_of
        )


def reject(folder: Path, name: str, version: str, *, reasons: Sequence[str]) -> Record:
    """Record that a challenger was not promoted, and why.

    Raises
    ------
    RegistryError
        When the registry cannot be written.
    """
    with tracking(folder, name, create=False):
        return note_rejection(name, version, reasons)


def rollback_target(folder: Path, name: str, wanted: str | None = None) -> tuple[str, str]:
    """Find who a rollback puts back, and who is champion now.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    wanted : str or None
        A version that has been champion; by default the one before the champion.

    Raises
    ------
    RegistryError
        When there is no champion, none before it, or the wanted version never was champion.
    """
    with tracking(folder, name, create=False):
        _versions(name)
        records = recovered_chain(name)
        aliases = aliases_of(name)
        serving = aliases.get(CHAMPION)
        if serving is None:
            raise RegistryError(f"{name!r} has no champion to roll back from; train a model first.")
        served = [aliases.get(PREVIOUS)]
        for record in records:
            if record.state == "done" and record.action in MOVES:
                served += [record.before, record.version]
        choices = sorted({v for v in served if v and v != serving}, key=int)
        if wanted is None:
            wanted = aliases.get(PREVIOUS)
            if wanted is None:
                others = f"; of those that served since, name one with --to: {sample(choices, 8)}"
                raise RegistryError(
                    f"Version {serving} of {name!r} is the first champion: there is none before "
                    f"it to go back to{others if choices else ''}."
                )
        elif wanted not in choices:
            raise RegistryError(
                f"Version {sample([wanted])} of {name!r} cannot be put back: only what has been "
                f"champion and is not now can, and that is {sample(choices, 8) or 'none'}."
            )
        return wanted, serving


def roll_back(folder: Path, name: str, version: str, *, instead_of: str, reason: str) -> Record:
    """Put a former champion back; from then on a rollback goes to who came before it.

    Parameters
    ----------
    folder, name
        As for :func:`models.registry.models.Registry`.
    version, instead_of : str
        What :func:`rollback_target` found.
    reason : str
        Why, in a sentence; may be empty.

    Raises
    ------
    RegistryError
        When somebody else came first.
    """
    with tracking(folder, name, create=False):
        return move_champion(
            name,
            version,
            action="rollback",
            reasons=[reason] if reason else [],
            instead_of=instead_of,
            previous=predecessor(recovered_chain(name), version),
        )


def training_counts(folder: Path, name: str, version: str) -> TrainingCounts:
    """Read how many rows, and of which dates, a version was taught with.

    Returns
    -------
    dict
        ``counts`` of :class:`models.training.fit.TrainingResult`.

    Raises
    ------
    RegistryError
        When the version was registered without them.
    """
    with tracking(folder, name, create=False):
        found = MlflowClient().get_model_version(name, version)
        counts = _training(found).get("counts", {})
    if "last_date" not in counts:
        raise RegistryError(
            f"Version {version} of {name!r} does not tell which dates it was taught with "
            f"({TRAINING} is gone or damaged); train a new champion with 'healthscore train'."
        )
    return counts


def _versions(name: str) -> list[ModelVersion]:
    found = MlflowClient().search_model_versions(f"name = '{name}'", max_results=10_000)
    if not found:
        raise RegistryError(
            f"No version of {name!r} is in the registry; train a model first with 'healthscore "
            "train'."
        )
    return sorted(found, key=lambda version: int(version.version))


def _training(version: ModelVersion) -> TrainingRecord:
    try:
        told = kept_json(str(version.run_id), TRAINING)
    except UNREADABLE:
        return {}
    return cast("TrainingRecord", told) if isinstance(told, dict) else {}


def _described(version: ModelVersion, records: Sequence[Record], serving: str | None) -> Version:
    training = _training(version)
    metrics = training.get("metrics", {})
    number = str(version.version)
    return Version(
        version=number,
        made_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        became=_became(number, records, serving),
        counts=training.get("counts", {}),
        log_loss=metrics.get("log_loss"),
        auc=metrics.get("auc"),
    )


def _became(version: str, records: Sequence[Record], serving: str | None) -> str:
    if version == serving:
        return "champion"
    became = "registered"
    for record in records:
        if record.state != "done":
            continue
        if record.version == version:
            became = "rejected" if record.action == "reject" else "replaced"
        elif record.before == version and record.action in MOVES:
            became = "rolled back" if record.action == "rollback" else "replaced"
    return became


def _seal_notes(
    versions: Sequence[ModelVersion], records: Sequence[Record], serving: str | None
) -> list[str]:
    seals = {str(version.version): version.tags.get(SEAL) for version in versions}
    notes = []
    recorded = {record.version for record in records if record.seal is not None}
    if serving in seals and serving not in recorded and seals[serving] is None:
        notes.append(
            f"Version {serving} was registered before the files of models were sealed, so that "
            "changes of its files are not noticed; train again to seal them."
        )
    differing = {
        record.version: None
        for record in records
        if record.seal is not None and seals.get(record.version, record.seal) != record.seal
    }
    notes += [
        f"Version {version} bears another seal than its record: its files or its tag were changed "
        "since; roll back to another version or train again."
        for version in differing
    ]
    return notes


def _notes(records: Sequence[Record], serving: str | None) -> list[str]:
    found = []
    moves = [record for record in records if record.action in MOVES]
    carried_out = [record for record in moves if record.state == "done"]
    if serving is None:
        found.append("There is no champion: nothing is scored until a model is trained.")
    elif carried_out and carried_out[-1].version != serving:
        found.append(
            f"Version {serving} serves, but the last record is of version "
            f"{carried_out[-1].version}: the alias {CHAMPION!r} was moved by other means."
        )
    found += [
        f"Version {record.version} is just now made the champion by {record.by!r} on "
        f"{record.host!r}."
        for record in moves
        if record.state == "open"
    ]
    return found
