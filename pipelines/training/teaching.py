"""Which model the rows of a project can teach: one of their own, or a first one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from features.errors import sample
from pipelines.project.project import Project
from pipelines.project.rows import LabelledRows
from pipelines.project.settings.scorecard import WEIGHED, scorecard_measures, weights_today
from pipelines.training.memory import memory_told, refuse_too_large

if TYPE_CHECKING:
    from models.scorecard.prior.first_model import Scorecard
    from models.scoring.scale import ScaleSettings
    from models.training.fit import TrainingResult
    from models.training.learning import Learning


def teach(
    project: Project,
    rows: LabelledRows,
    learning: Learning,
    *,
    scale: ScaleSettings,
    holdout_dates: int | None,
    progress: Callable[[str], None],
) -> TrainingResult:
    """Fit a model to the rows, and judge it on what it has not seen.

    With too few outcomes to learn from them alone the model starts from the scorecard in the
    configuration, or from equal weights, and says so.

    Parameters
    ----------
    project : Project
        The configuration.
    rows : LabelledRows
        What is learnt from.
    learning : Learning
        How the configuration wants it to be.
    scale : ScaleSettings
        What fixes the score.
    holdout_dates : int or None
        As for :func:`models.training.fit.fit_health_model`.
    progress : callable
        Told what is being done.

    Raises
    ------
    EvidenceError, DataError, SettingsError
        As :func:`pipelines.training.train.train` does.
    """
    from models.scorecard.prior.first_training import fit_first_model
    from models.training.fit import fit_health_model

    size = len(rows.table), len(rows.signals), rows.table.nbytes
    refuse_too_large(*size)
    progress(memory_told(*size))
    if not _are_few(rows, holdout_dates):
        result = fit_health_model(
            rows.table,
            rows.signals,
            learning,
            scale=scale,
            holdout_dates=holdout_dates,
            progress=progress,
        )
        result.warnings.extend(weighed_in_vain(project, rows))
        return result
    scorecard, notes = _scorecard(project, rows)
    result = fit_first_model(
        rows.frame,
        rows.signals,
        scorecard,
        learning,
        window_days=project.settings.outcome.horizon_days if rows.is_dated else 0,
        scale=scale,
        holdout_dates=holdout_dates,
        progress=progress,
    )
    result.warnings.extend(notes)
    return result


def weighed_in_vain(project: Project, rows: LabelledRows) -> list[str]:
    """Say which groups the scorecard weighs though no account has data of them, in a sentence."""
    settings = project.settings.scorecard
    weighed = {name for each in settings.by_place.values() for name, w in each.items() if w > 0}
    known = {signal.group for signal in rows.signals if rows.table[signal.name].notna().any()}
    gone = [group for group in WEIGHED if group in weighed and group not in known]
    if not gone:
        return []
    return [
        f"[scorecard] weighs {sample(gone)}, of which no account has data: the model knows no such"
        " weight, and its own are shared among the other groups; map a table that tells it, or"
        " weigh the others"
    ]


def _are_few(rows: LabelledRows, holdout_dates: int | None) -> bool:
    import numpy as np

    from models.training.checks import has_few
    from models.training.splits import later_holdout

    earlier = np.arange(len(rows.table))
    if rows.is_dated:
        dates = rows.table["observation_date"]
        fold = later_holdout(dates, rows.maturity_days, holdout_dates)
        # Other accounts judge where no date can.
        earlier = earlier if fold is None else fold.train
    return has_few(rows.table["happened"], earlier)


def _scorecard(project: Project, rows: LabelledRows) -> tuple[Scorecard, list[str]]:
    """Read the scorecard in use, without lines that have no data; equal weights where none is."""
    import numpy as np

    from models.scorecard.prior.first_model import Scorecard

    settings = project.settings.scorecard
    measures = scorecard_measures(settings, rows.signals)
    weights = weights_today(settings, [measure.name for measure in measures])
    known = np.array(
        [
            any(rows.table[signal.name].notna().any() for signal in measure.signals)
            for measure in measures
        ],
        dtype=bool,
    )
    notes = []
    weighed = np.sum(list(weights.values()), axis=0) > 0
    if settings.weights and (weighed & ~known).any():
        gone = [m.name for m, out in zip(measures, weighed & ~known, strict=True) if out]
        notes.append(
            f"[scorecard] weighs {sample(gone)}, of which no account has data: the first model"
            " starts from the other weights alone"
        )
    held = {segment: np.where(known, row, 0.0) for segment, row in weights.items()}
    kept = {segment: 100 * row / row.sum() for segment, row in held.items() if row.sum() > 0}
    if settings.weights and "all" in kept:
        return Scorecard(measures, kept, "scorecard"), notes
    equal = {"all": np.where(known, 100.0, 0.0) / max(int(known.sum()), 1)}
    return Scorecard(measures, equal, "equal weights"), notes
