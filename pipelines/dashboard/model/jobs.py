"""Background job of the model page: what the registry says of a champion."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from pipelines.dashboard.model.health import ModelHealth, model_health
from pipelines.dashboard.web.background import Background, Done

if TYPE_CHECKING:
    from pipelines.project.project import Project

HEALTH_SECONDS, WAITING = 20.0, 8


class ModelJobs:
    """Reads of a champion's health, each good for a burst of requests.

    Parameters
    ----------
    outcomes : int
        How many outcomes have a champion of their own.
    """

    def __init__(self, outcomes: int) -> None:
        self._health = Background[ModelHealth](
            "model-health", threads=1, keep=outcomes, waiting=WAITING, seconds=HEALTH_SECONDS
        )

    def health(self, project: Project) -> Future[Done[ModelHealth]] | None:
        """Read what the registry says of a champion."""
        return self._health.ask(project.outcome_name, lambda: model_health(project))

    def close(self) -> None:
        """Begin nothing more."""
        self._health.close()
