"""The search for parameters that a training may begin with, on the rows before the hold-out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from features.errors import RegistryError, SettingsError
from pipelines.project.project import Project
from pipelines.reports.terminal.progress import show_progress

if TYPE_CHECKING:
    from models.churn.segments import SegmentSettings
    from models.training.tuning import Tuned
    from pipelines.project.rows import LabelledRows

JOURNAL = "tuning.journal"


def tuning_seconds(project: Project, wanted: float | None) -> float:
    """Return the budget of a search: the wanted one, or else the configured one.

    Raises
    ------
    SettingsError
        When it is no length of time.
    """
    seconds = project.settings.tuning.seconds if wanted is None else wanted
    if not 0 <= seconds < math.inf:
        raise SettingsError(
            f"--tune must be a number of seconds, 0 or more, and is {seconds}; correct it"
        )
    return seconds


def search_parameters(
    project: Project,
    rows: LabelledRows,
    *,
    segments: SegmentSettings,
    seconds: float,
) -> Tuned | None:
    """Search for parameters on the rows a training would choose its rounds on.

    Parameters
    ----------
    project : Project
        Its ``[tuning]`` section, registry and champion.
    rows : LabelledRows
        Signals and outcomes.
    segments : SegmentSettings
        How rows are split.
    seconds : float
        Budget.

    Returns
    -------
    Tuned or None
        None where nothing was to be searched: no time was given, or the history is one that
        training refuses, which says why.
    """
    if seconds == 0:
        return None
    from models.churn.segments import assign_segments
    from models.scoring.health_model import model_input
    from models.training.checks import MIN_EARLIER_POSITIVES, MIN_POSITIVES
    from models.training.learning import classifier_of
    from models.training.splits import account_holdout, later_holdout
    from models.training.tuning import tune

    settings = project.settings
    seed = settings.training.seed
    frame = rows.table
    if rows.is_dated:
        dates = frame["observation_date"]
        later = later_holdout(dates, rows.maturity_days, settings.training.holdout_dates)
        if later is None:
            return None
        holdout = later
    else:
        holdout = account_holdout(frame["account_id"], seed)
    past = frame.take(holdout.train)
    positives = int(past["happened"].sum())
    if frame["happened"].sum() < MIN_POSITIVES or not (
        MIN_EARLIER_POSITIVES <= positives < len(past)
    ):
        return None
    classifier = classifier_of(
        rows.signals,
        seed=seed,
        n_jobs=settings.training.threads,
        negatives=settings.training.sample_negatives,
    )
    trials = settings.tuning.trials
    with show_progress("Tune") as step:

        def tell(ended: int, lowest: float | None, left: float) -> None:
            best = "" if lowest is None else f", best log loss {lowest:.4f}"
            name = f"trial {ended + 1}{best}, {max(left, 0):.0f} seconds left"
            if trials is None:
                step(name, 1 + int(seconds - left), 1 + int(seconds))
            else:
                step(name, min(ended + 1, trials), trials)

        return tune(
            classifier,
            model_input(past, rows.signals, assign_segments(past, segments)),
            past["happened"],
            dates=past["observation_date"],
            accounts=past["account_id"],
            maturity_days=rows.maturity_days,
            seconds=seconds,
            storage=project.registry_folder / JOURNAL,
            name=settings.registry.model_name,
            seed=seed,
            champion=_champion_parameters(project),
            max_depth=settings.tuning.max_depth,
            n_trials=trials,
            progress=tell,
        )


def tuning_parameters(tuning: Tuned | None) -> dict[str, object]:
    """List what a training run is logged with: the search and the parameters it chose."""
    if tuning is None:
        return {}
    found = tuning.to_dict().items()
    return {
        **{f"tuning_{key}": value for key, value in found if key != "parameters"},
        **{f"tuned_{key}": value for key, value in tuning.parameters.items()},
    }


def _champion_parameters(project: Project) -> dict[str, float] | None:
    try:
        model = project.registry.champion().model
    except RegistryError:
        # There is none yet, or none of this outcome that can be read: a new training is the remedy.
        return None
    return dict(model.classifier.get_params())
