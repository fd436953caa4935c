"""Registry reads of the panel: champions and their references, kept."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from pipelines.dashboard.access.notes import Note
from pipelines.dashboard.web.background import Background, Done

if TYPE_CHECKING:
    from models.registry.models import Champion
    from models.registry.versions import ChampionReference
    from pipelines.project.project import Project

Value = TypeVar("Value")
KEEP, WAITING = 8, 32
CHAMPION_SECONDS = 20.0


class RegistryReads:
    """Registered models and what was kept beside them; a version never changes."""

    def __init__(self) -> None:
        self._champions = Background["Champion"](
            "champions", threads=1, keep=KEEP, waiting=WAITING, seconds=CHAMPION_SECONDS
        )
        self._references = Background["ChampionReference"](
            "references", threads=1, keep=KEEP, waiting=WAITING
        )

    def champion(self, project: Project) -> Future[Done[Champion]] | None:
        """Load the champion of now; that there is another one may be seen a little late."""

        def load() -> Champion:
            return project.registry.champion()

        return self._champions.ask(project.outcome_name, load)

    def reference(self, project: Project, version: str) -> Done[ChampionReference]:
        """Load what a version was taught with, waiting for it."""

        def load() -> ChampionReference:
            return project.registry.reference(version)

        return settled(self._references.ask((project.outcome_name, version), load))

    def close(self) -> None:
        """Begin nothing more."""
        for work in (self._champions, self._references):
            work.close()


BUSY = Note("More is being worked out just now than this machine can do; look again in a minute")


def settled(future: Future[Done[Value]] | None) -> Done[Value]:
    """Wait for some work to its end."""
    return Done(failure=BUSY) if future is None else future.result()
