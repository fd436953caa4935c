"""Train a challenger, and make it the champion if it is shown to be no worse."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from features.errors import EvidenceError
from features.json_values import Json, json_value
from pipelines.monitor.band_moves import BandMoves, band_moves, said_by
from pipelines.project.company import open_company
from pipelines.project.feature_table import refuse_lost_signals
from pipelines.project.project import Project
from pipelines.project.rows import (
    LabelledRows,
    labelled_rows,
    learning_of,
    segment_settings,
)
from pipelines.reports.terminal.progress import show_progress
from pipelines.training.scale import scale_settings
from pipelines.training.teaching import teach
from pipelines.training.train import TRAINING_STEPS, kept_with_model
from pipelines.training.tune import search_parameters, tuning_seconds

if TYPE_CHECKING:
    from models.churn.coded import Rows
    from models.registry.gate import Verdict
    from models.scoring.health_model import HealthModel
    from models.scoring.scale import ScaleSettings
    from models.training.fit import TrainingResult
    from models.training.tuning import Tuned


@dataclass(frozen=True)
class Retrained:
    """What came of a retraining.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    champion : str
        The version that serves now.
    before : str
        The version that served before.
    challenger : str or None
        The version that was trained; None where there was nothing new to judge it on.
    promoted : bool
        Whether the challenger is the champion now.
    reasons : list of str
        Why, or why not, one sentence each.
    judged_from, judged_until : date or None
        The dates that both were judged on.
    verdict : Verdict or None
        What the judging found.
    bands : BandMoves or None
        Who is in another band now; None where the champion stayed.
    result : TrainingResult or None
        The challenger's own proof.
    warnings : list of str
        Data problems and doubts, one sentence each.
    """

    outcome: str
    champion: str
    before: str
    challenger: str | None = None
    promoted: bool = False
    reasons: list[str] = field(default_factory=list)
    judged_from: date | None = None
    judged_until: date | None = None
    verdict: Verdict | None = None
    bands: BandMoves | None = None
    result: TrainingResult | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> Json:
        """Return what ``--json`` prints of it."""
        return {
            "outcome": self.outcome,
            "champion": self.champion,
            "champion_before": self.before,
            "challenger": self.challenger,
            "promoted": self.promoted,
            "reasons": self.reasons,
            "judged_from": json_value(self.judged_from),
            "judged_until": json_value(self.judged_until),
            "verdict": json_value(self.verdict),
            "bands": json_value(self.bands),
            "warnings": self.warnings,
        }


def retrain(project: Project) -> Retrained:
    """Train a challenger, judge it beside the champion, and promote it if it is no worse.

    Both are judged on the newest matured dates that neither has seen: everything a model had
    learnt from must have matured before the first of them, for the champion by the dates it was
    registered with. The challenger that is judged has learnt from older rows alone; the one that
    is registered is fitted to every matured row with the choices made on the older ones, as
    :func:`models.training.fit.fit_health_model` does for a first champion. What is proved is how it
    was made: the refit itself is judged by the next retraining. The scale stays the champion's
    unless the configuration sets another.

    Parameters
    ----------
    project : Project
        The configuration.

    Returns
    -------
    Retrained

    Raises
    ------
    RegistryError
        When there is no champion, the registry cannot be used, or another champion came in
        meanwhile; a challenger that was registered stays so.
    DataError
        When the tables no longer give the champion's signals, or break the contract.
    EvidenceError
        When the rows carry no dates, or are too few to learn from.
    """
    from models.registry.champions import promote, reject, training_counts
    from models.registry.files import log_challenger

    settings = project.settings
    place = project.registry_folder, settings.registry.model_name
    champion = project.registry.champion()
    model, before = champion.model, champion.version
    taught_until = date.fromisoformat(training_counts(*place, before)["last_date"])
    rows = _rows(project, model)
    days = max(rows.maturity_days, model.maturity_days)
    dates = _unseen_dates(rows.table, taught_until + timedelta(days=days))
    dates = dates[-settings.retraining.judged_dates :]
    if not dates:
        return Retrained(
            project.outcome_name, before, before, reasons=[_nothing_new(before, taught_until, days)]
        )
    tuning, result = _challenger(project, rows, dates, _kept_scale(project, model))
    verdict, dates = _verdict(project, rows, model, result)
    kept = kept_with_model(project, result, rows, tuning)
    kept["params"] |= {"judged_against": before}
    kept["files"] |= {"verdict.json": json.dumps(verdict.to_dict(), indent=1)}
    version = log_challenger(result, folder=place[0], name=place[1], **kept)
    # Before the promotion: a challenger that cannot score the newest rows must not serve.
    bands = band_moves(project, model, result.model) if verdict.promoted else None
    reasons = verdict.reasons if bands is None else [*verdict.reasons, bands.sentence]
    if verdict.promoted:
        promote(*place, version, instead_of=before, reasons=reasons)
    else:
        reject(*place, version, reasons=reasons)
    return Retrained(
        project.outcome_name,
        champion=version if verdict.promoted else before,
        before=before,
        challenger=version,
        promoted=verdict.promoted,
        reasons=reasons,
        judged_from=dates[0],
        judged_until=dates[-1],
        verdict=verdict,
        bands=bands,
        result=result,
        warnings=[
            *rows.problems,
            *rows.notes,
            *_other_window(project, champion.params),
            *result.warnings,
        ],
    )


def _rows(project: Project, model: HealthModel) -> LabelledRows:
    with open_company(project) as company:
        if not company.is_dated:
            raise EvidenceError(
                "Retraining judges models on dates that they have not seen, and the tables carry "
                "no dates; train a new champion with 'healthscore train'."
            )
        refuse_lost_signals(project, company, model)
        return labelled_rows(project, company)


def _other_window(project: Project, params: Mapping[str, str]) -> list[str]:
    """Say where the champion was taught to look at another outcome window."""
    outcome = project.settings.outcome
    wanted = {"lead_days": outcome.lead_days, "horizon_days": outcome.horizon_days}
    taught = {name: params.get(name, str(days)) for name, days in wanted.items()}
    if all(taught[name] == str(days) for name, days in wanted.items()):
        return []
    return [
        f"The champion was taught {taught['horizon_days']} days of outcomes after "
        f"{taught['lead_days']} days of lead time, and is judged by {outcome.horizon_days} after "
        f"{outcome.lead_days}, as [{project.outcome_section}] says now."
    ]


def _unseen_dates(frame: Rows, first: date) -> list[date]:
    """List the observation dates from a day on."""
    dates = frame["observation_date"].drop_duplicates().sort_values()
    return [moment.date() for moment in dates if moment.date() >= first]


def _nothing_new(version: str, taught_until: date, days: int) -> str:
    return (
        f"There is nothing new to judge on: the champion, version {version}, was taught with "
        f"dates up to {taught_until}, whose outcomes were known {days} days later, and no "
        "observation date from then on has matured. It stays; retrain when newer outcomes have "
        "matured."
    )


def _kept_scale(project: Project, model: HealthModel) -> ScaleSettings:
    """Let the configuration rule, and the champion where it leaves something open."""
    scale = model.scale
    given = project.settings.score.scale_of(project.settings.outcome)
    kept = scale_settings(project, scale.anchor_probability)
    names = ("anchor_probability", "at_risk_from", "watch_from")
    own = {name: getattr(scale, name) for name in names if given[name] is None}
    return replace(kept, **own, term_anchors=scale.term_anchors)


def _challenger(
    project: Project, rows: LabelledRows, dates: list[date], scale: ScaleSettings
) -> tuple[Tuned | None, TrainingResult]:
    import pandas as pd

    learning = learning_of(project, rows)
    matured = pd.to_datetime(rows.table["observation_date"]) + pd.Timedelta(days=rows.maturity_days)
    tuning = search_parameters(
        project,
        # The search must not see what judges its outcome either.
        rows.part((matured <= pd.Timestamp(dates[0])).to_numpy()).due,
        segments=learning.segments,
        seconds=tuning_seconds(project, None),
    )
    number = itertools.count(1)
    with show_progress("Retrain") as step:
        result = teach(
            project,
            rows,
            replace(learning, tuned=None if tuning is None else tuning.parameters),
            scale=scale,
            holdout_dates=len(dates),
            progress=lambda name: step(name, next(number), TRAINING_STEPS),
        )
    return tuning, result


def _verdict(
    project: Project, rows: LabelledRows, model: HealthModel, result: TrainingResult
) -> tuple[Verdict, list[date]]:
    """Judge both on the challenger's hold-out, which begins on the first asked date or later."""
    from models.churn.segments import assign_segments
    from models.registry.gate import judge_challenger

    settings = project.settings
    held_out = result.holdout
    first = held_out["observation_date"].min()
    newest = rows.part((rows.table["observation_date"] >= first).to_numpy()).frame
    # The very rows that judged the challenger, whichever were left out, in their order.
    keys = ["account_id", "observation_date"]
    unseen = held_out[keys].merge(newest, how="left", on=keys, validate="1:1")
    # By the configuration, so that neither model can hide a segment it is bad at.
    segments = assign_segments(rows.table, segment_settings(project, rows.signals))
    judged = held_out[["account_id", "observation_date", "happened"]].assign(
        segment=segments.assign(unseen).to_numpy(dtype=object),
        champion=said_by(model, unseen)["probability"].to_numpy(),
        challenger=held_out["probability"].to_numpy(),
    )
    verdict = judge_challenger(
        judged,
        settings.retraining,
        words=settings.outcome.words,
        seed=settings.training.seed,
        is_first=model.prior is not None,
    )
    return verdict, _unseen_dates(judged, first.date())
