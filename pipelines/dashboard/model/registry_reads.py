"""What the panel reads of the registry, and keeps."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.dashboard.web.background import Background, Done

if TYPE_CHECKING:
    from models.registry.champion_reference import ChampionReference
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project

Value = TypeVar("Value")
KEEP, WAITING = 8, 32
CHAMPION_SECONDS = 20.0


@dataclass(frozen=True)
class Registered:
    """A registered version.

    Parameters
    ----------
    model : HealthModel
        The model.
    version : str
        Its version.
    facts : dict
        Of its run; see :func:`models.registry.models.load_champion`.
    """

    model: HealthModel
    version: str
    facts: dict[str, Any]


class RegistryReads:
    """Registered models and what was kept beside them; a version never changes."""

    def __init__(self) -> None:
        self._champions = Background[Registered](
            "champions", threads=1, keep=KEEP, waiting=WAITING, seconds=CHAMPION_SECONDS
        )
        self._references = Background["ChampionReference"](
            "references", threads=1, keep=KEEP, waiting=WAITING
        )

    def champion(self, project: Project) -> Future[Done[Registered]] | None:
        """Load the champion of now; that there is another one may be seen a little late."""

        def load() -> Registered:
            from pipelines.scoring.score import champion

            return Registered(*champion(project))

        return self._champions.ask(project.outcome_name, load)

    def reference(self, project: Project, version: str) -> Done[ChampionReference]:
        """Load what a version was taught with, waiting for it."""

        def load() -> ChampionReference:
            from models.registry.champion_reference import load_reference

            name = project.settings.registry.model_name
            return load_reference(project.registry_folder, name, version)

        return settled(self._references.ask((project.outcome_name, version), load))

    def close(self) -> None:
        """Begin nothing more."""
        for work in (self._champions, self._references):
            work.close()


BUSY = "More is being worked out just now than this machine can do; look again in a minute"


def settled(future: Future[Done[Value]] | None) -> Done[Value]:
    """Wait for some work to its end."""
    return Done(failure=BUSY) if future is None else future.result()
