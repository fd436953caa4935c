"""Customer health scores from Python: the front door to signals, models and scores.

``import healthscore as hs`` loads nothing heavy; a name is loaded when it is first used.

Examples
--------
>>> import healthscore as hs
>>> model = hs.ChurnClassifier(n_rounds=10)
>>> hs.ScoreScale(anchor_probability=0.03, at_risk_from=0.08, watch_from=0.04).score(-3.5).round(1)
np.float64(50.3)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from models.registry.models import Registry
    from models.training.fit import TrainingResult
    from pipelines.monitor.monitor import Monitored
    from pipelines.project.project import Project, Settings
    from pipelines.project.rows import LabelledRows
    from pipelines.scoring.explain import Explained
    from pipelines.scoring.score import Issued
    from pipelines.training.train import Trained
    from pipelines.weights.rows import ReplayRows
    from pipelines.weights.what_if import WhatIf

# Where each name is defined.
_HOMES = {
    "Champion": "models.registry.models",
    "ChurnClassifier": "models.churn.classifier",
    "DriftPolicy": "models.drift.policy",
    "HealthModel": "models.scoring.health_model",
    "HealthscoreError": "features.errors",
    "LabelledRows": "pipelines.project.rows",
    "Ranking": "models.measures.metrics",
    "Registry": "models.registry.models",
    "ScoreScale": "models.scoring.scale",
    "Scorer": "models.scoring.scorer",
    "SegmentSettings": "models.churn.segments",
    "Signal": "features.catalog",
    "bin_labels": "pipelines.reports.figures.drift",
    "check_drift": "models.drift.check",
    "labels_of": "pipelines.reports.labels",
    "lift_plot": "pipelines.reports.figures.tested_rows",
    "noticed": "models.drift.decision",
    "rate_row": "models.measures.metrics",
    "reliability_plot": "pipelines.reports.figures.tested_rows",
    "row_log_loss": "models.measures.metrics",
    "shares_plot": "pipelines.reports.figures.drift",
    "simulate": "pipelines.setup.simulation.simulate",
}
_ROOMS = {"tree_shap": "models.tree_shap"}

__all__ = ["OpenProject", "fit_health_model", "open_project", *_HOMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used."""
    if name in _ROOMS:
        return import_module(_ROOMS[name])
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healthscore' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what there is, loaded or not."""
    return sorted(__all__)


@dataclass(frozen=True)
class OpenProject:
    """A configuration, and what can be done with it.

    Parameters
    ----------
    project : Project
        The configuration as the commands read it.
    """

    project: Project

    @property
    def settings(self) -> Settings:
        """The whole tree of settings."""
        return self.project.settings

    @property
    def folder(self) -> Path:
        """Where the configuration lies."""
        return self.project.folder

    @property
    def registry(self) -> Registry:
        """The registered model: ``.champion()``, ``.version("3")``, ``.reference("3")``."""
        return self.project.registry

    def labelled_rows(self) -> LabelledRows:
        """Build the signals and outcomes of every matured date, as ``train`` reads them.

        Where somebody acted soon after a date, ``acted_on`` marks the row: it teaches, and judges
        nothing.
        """
        from pipelines.project.rows import labelled_rows

        return labelled_rows(self.project)

    def events(self) -> pd.DataFrame | None:
        """List ``account_id`` and ``happened_at`` of each churn; None for other outcomes."""
        from pipelines.project.company import dated_events, open_company

        with open_company(self.project) as company:
            return dated_events(company, self.settings.outcome)

    def replay_rows(self) -> ReplayRows:
        """Build the rows the champion was judged on, to try weights of the scorecard on."""
        from pipelines.project.company import open_company
        from pipelines.weights.rows import replay_rows

        with open_company(self.project) as company:
            return replay_rows(self.project, company)

    def rows_on(self, day: date | str | None = None) -> pd.DataFrame:
        """Build the signals of every account that was active on a date.

        Parameters
        ----------
        day : date, str or None
            What was known before it; a text as in "2025-04-01". None is the day after the last
            row.
        """
        from pipelines.project.company import open_company, scoring_date
        from pipelines.project.feature_table import feature_rows_of_date

        wanted = date.fromisoformat(day) if isinstance(day, str) else day
        with open_company(self.project) as company:
            as_of, _ = scoring_date(company, wanted)
            return feature_rows_of_date(self.project, company, as_of).frame()

    def learning(self, rows: LabelledRows) -> dict[str, Any]:
        """Read how the configuration wants a model of some rows to be taught.

        Returns
        -------
        dict of str to object
            Keyword arguments of :func:`fit_health_model`.
        """
        from pipelines.project.rows import learning_of
        from pipelines.training.scale import scale_settings

        return {
            "learning": learning_of(self.project, rows),
            "scale": scale_settings(self.project, rows.base_rate, rows.term_anchors),
            "holdout_dates": self.settings.training.holdout_dates,
        }

    def train(self) -> Trained:
        """Teach a champion and register it, as ``healthscore train`` does."""
        from pipelines.training.train import train

        return train(self.project)

    def score(self, as_of: date | None = None, *, force: bool = False) -> Issued:
        """Issue the scores of a date, as ``healthscore score`` does."""
        from pipelines.scoring.score import score_accounts

        return score_accounts(self.project, as_of, force=force)

    def explain(self, account_id: str, as_of: date | None = None) -> Explained:
        """Explain one account's score, signal by signal."""
        from pipelines.scoring.explain import explain_account

        return explain_account(self.project, account_id, as_of)

    def what_if(self, weights: Mapping[str, float], *, segment: str | None = None) -> WhatIf:
        """Replay weights of the scorecard over the dates the champion was judged on.

        Parameters
        ----------
        weights : mapping of str to float
            In percent, summing to 100, by line of the scorecard.
        segment : str or None
            The one segment to weigh so.
        """
        from pipelines.weights.what_if import what_if

        text = ",".join(f"{name}={weight}" for name, weight in weights.items())
        return what_if(self.project, text, segment=segment)

    def monitor(self, as_of: date | None = None) -> Monitored:
        """Check the champion for drift, as ``healthscore monitor`` does."""
        from pipelines.monitor.monitor import monitor

        return monitor(self.project, as_of)


def open_project(
    path: str | Path = "healthscore.toml", *, outcome: str | None = None
) -> OpenProject:
    """Read a configuration.

    Parameters
    ----------
    path : str or Path
        The configuration file.
    outcome : str or None
        A further outcome, as named under ``[outcomes]``; by default ``[outcome]``.

    Raises
    ------
    HealthscoreError
        When the file is missing, is no TOML, or holds an unknown key or an impossible value.
    """
    from pipelines.project.project import load_project

    project = load_project(Path(path))
    return OpenProject(project if outcome is None else project.for_outcome(outcome))


def fit_health_model(rows: LabelledRows, **learning: Any) -> TrainingResult:
    """Teach a model and judge it on dates it has not seen; nothing is registered.

    Parameters
    ----------
    rows : LabelledRows
        Signals and outcomes.
    **learning : object
        As :meth:`OpenProject.learning` gives them; see
        :func:`models.training.fit.fit_health_model`.
    """
    from models.training.fit import fit_health_model as fit

    return fit(rows.frame, rows.signals, **learning)
