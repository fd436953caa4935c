"""Who serves, who did before, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.json_values import Json
from pipelines.project.project import Project

if TYPE_CHECKING:
    from models.registry.chain_record import Record
    from models.registry.champions import History


@dataclass(frozen=True)
class RolledBack:
    """A former champion that was put back.

    Parameters
    ----------
    version : str
        The champion of now.
    before : str
        The champion that it took the place of.
    record : Record
        What was written down.
    """

    version: str
    before: str
    record: Record

    def to_dict(self) -> Json:
        """Return what ``rollback --json`` prints."""
        return {
            "model_version": self.version,
            "before": self.before,
            "record": self.record.to_dict(),
        }


def rollback(project: Project, *, reason: str = "", to: str | None = None) -> RolledBack:
    """Put the previous champion back, or one named by its version.

    It is loaded first, so that what serves can be loaded. Scores that were issued stay.

    Parameters
    ----------
    project : Project
        The configuration.
    reason : str
        Why, for the record.
    to : str, optional
        A version that has been champion; by default the one before the champion.

    Raises
    ------
    RegistryError
        When there is no such version, its files are gone, it foretells another outcome, or
        another promotion is under way.
    """
    # The registry comes first: it settles how MLflow behaves before MLflow is loaded.
    from models.registry.champions import roll_back, rollback_target

    place = project.registry_folder, project.settings.registry.model_name
    version, serving = rollback_target(*place, to)
    project.registry.version(version)
    record = roll_back(*place, version, instead_of=serving, reason=reason)
    return RolledBack(version, serving, record)


def history(project: Project) -> History:
    """Read every version of a project's model and what was decided about it.

    Raises
    ------
    RegistryError
        When no model was ever registered, or the registry cannot be read.
    """
    from models.registry.champions import history as read

    return read(project.registry_folder, project.settings.registry.model_name)
