"""Recommendations kept in the registry, so that later what came of them can be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from features.errors import RegistryError
from features.json_values import JsonReady
from models.churn.segments import SegmentAssignment
from models.registry.session import kept_json, tracking
from models.scorecard.grading import GradedSignal, Grading, Measure
from models.scorecard.scorecard import Cuts, Weighting

KIND = "recommendation"
RECORD, SCORECARD = "recommendation.json", "scorecard.json"
NEWEST = 100
# Weights nearer than this are the same: they were rounded on their way through a file.
SAME = 1e-6


@dataclass(frozen=True)
class RecommendationRecord(JsonReady):
    """What was recommended, and on what grounds.

    Parameters
    ----------
    made_at : datetime
        When, in UTC without a zone.
    outcome : str
        Name of the outcome.
    outcome_settings : dict
        How it was defined.
    model_version : str
        The champion's version.
    config_fingerprint : str
        Of the configuration.
    learnt_until : date
        End of the newest outcome window that was known: nothing observed from then on was.
    measures : dict of str to list of str
        Lines of the scorecard to the signals they are graded by.
    today, recommended : dict of str to dict of str to float
        Segment, or "all", to measure to percent; every segment is named in both.
    intervals : dict of str to dict of str to (float, float)
        90 % interval of the learnt weights.
    cuts : dict of str to Cuts
        Where "today" and "recommended" turn red and green.
    run_id : str
        Its run in the registry; empty until it is kept.
    """

    made_at: datetime
    outcome: str
    outcome_settings: dict[str, object]
    model_version: str
    config_fingerprint: str
    learnt_until: date
    measures: dict[str, list[str]]
    today: Weighting
    recommended: Weighting
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    cuts: dict[str, Cuts]
    run_id: str = ""

    def says_the_same(self, other: RecommendationRecord) -> bool:
        """Whether nobody who knows the other learns anything from this one."""
        return self.model_version == other.model_version and all(
            _are_equal(mine, theirs)
            for mine, theirs in ((self.today, other.today), (self.recommended, other.recommended))
        )


def _are_equal(mine: Weighting, theirs: Weighting) -> bool:
    def flat(weighting: Weighting) -> dict[tuple[str, str], float]:
        return {(place, name): w for place, row in weighting.items() for name, w in row.items()}

    ours, others = flat(mine), flat(theirs)
    return ours.keys() == others.keys() and all(
        abs(weight - others[key]) <= SAME for key, weight in ours.items()
    )


def log_recommendation(
    record: RecommendationRecord,
    grading: Grading,
    segments: SegmentAssignment,
    *,
    folder: Path,
    name: str,
) -> str:
    """Keep a recommendation as a run beside the champions' runs; no model is touched.

    Parameters
    ----------
    record : RecommendationRecord
        What was recommended.
    grading, segments
        How rows are graded and split, kept so that later rows are scored as they would have been.
    folder, name
        As for :func:`models.registry.files.log_champion`; there is a champion.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    RegistryError
        When MLflow refuses.
    """
    scorecard = {"grading": asdict(grading), "segments": segments.to_dict()}
    with tracking(folder, name, create=False):
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            raise RegistryError(
                f"The experiment {name!r} that champions are logged in is gone from the registry;"
                " train again with 'healthscore train'."
            )
        with mlflow.start_run(
            experiment_id=found.experiment_id, run_name=KIND, tags={"healthscore.kind": KIND}
        ) as run:
            mlflow.log_params({"model_version": record.model_version, "outcome": record.outcome})
            # Scorecards of a hundred knots a signal are read by programs alone.
            mlflow.log_text(json.dumps(scorecard, allow_nan=False), SCORECARD)
            mlflow.log_text(json.dumps(record.to_dict(), indent=1, allow_nan=False), RECORD)
    return str(run.info.run_id)


def recommendation_records(
    folder: Path, name: str, limit: int = NEWEST
) -> tuple[list[RecommendationRecord], int]:
    """Read what was recommended, newest first.

    Returns
    -------
    records : list of RecommendationRecord
        At most ``limit``.
    unreadable : int
        How many further ones lost their file, or hold one that cannot be read.

    Raises
    ------
    RegistryError
        When the registry cannot be read.
    """
    with tracking(folder, name, create=False):
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            return [], 0
        runs = MlflowClient().search_runs(
            [found.experiment_id],
            # One that was killed half-way recommended nothing to anybody.
            f"tags.`healthscore.kind` = '{KIND}' and attributes.status = 'FINISHED'",
            max_results=limit,
            order_by=["attributes.start_time DESC"],
        )
        records, unreadable = [], 0
        for run in runs:
            try:
                told = kept_json(run.info.run_id, RECORD)
                records.append(RecommendationRecord.from_dict(told | {"run_id": run.info.run_id}))
            except (MlflowException, OSError, ValueError, TypeError, KeyError):
                unreadable += 1
    return sorted(records, key=lambda record: record.made_at, reverse=True), unreadable


def recorded_scorecard(
    folder: Path, name: str, run_id: str
) -> tuple[Grading, SegmentAssignment] | None:
    """Read how the rows of a recommendation were graded and split; None where it is gone.

    Raises
    ------
    RegistryError
        When the registry cannot be read.
    """
    with tracking(folder, name, create=False):
        try:
            told = kept_json(run_id, SCORECARD)
            grading = told["grading"]
            measures = tuple(
                Measure(
                    each["name"],
                    tuple(
                        GradedSignal(
                            signal["name"], signal["higher"], tuple(map(tuple, signal["steps"]))
                        )
                        for signal in each["signals"]
                    ),
                )
                for each in grading["measures"]
            )
            return (
                Grading(measures, grading["tables"], grading["typical"]),
                SegmentAssignment.from_dict(told["segments"]),
            )
        except (MlflowException, OSError, ValueError, TypeError, KeyError):
            return None
