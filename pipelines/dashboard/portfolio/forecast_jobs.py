"""Background job of the forecast page: the retention forecast of a run."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from pipelines.dashboard.web.background import Background, Done
from pipelines.portfolio.forecast.data import RetentionReport, retention_report

if TYPE_CHECKING:
    from pipelines.project.project import Project
    from pipelines.store.runs import Run

WAITING = 8


class ForecastJobs:
    """Forecasts by run; the tables behind them are read anew when the run is another.

    Parameters
    ----------
    outcomes : int
        How many outcomes have scores of their own.
    """

    def __init__(self, outcomes: int) -> None:
        self._forecasts = Background[RetentionReport](
            "forecast", threads=1, keep=2 * outcomes, waiting=WAITING
        )

    def forecast(self, project: Project, run: Run) -> Future[Done[RetentionReport]] | None:
        """Foretell the retention of a run's accounts."""
        as_of, version = run.key.as_of, run.key.model_version
        return self._forecasts.ask(
            (run.key, run.revision),
            lambda: retention_report(project, as_of=as_of, model_version=version),
        )

    def close(self) -> None:
        """Begin nothing more."""
        self._forecasts.close()
