"""What was recommended before, what of it was adopted, and what has happened since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from features.errors import sample
from features.json_values import Json, JsonReady
from pipelines.project.company import open_company
from pipelines.project.project import Project
from pipelines.project.settings.scorecard import scorecard_measures, weights_today
from pipelines.weights.adoption import Adoption, adoption_of
from pipelines.weights.rows import RECOMMENDED, TODAY, decided, named_weights, with_arr

if TYPE_CHECKING:
    import pandas as pd

    from features.outcomes.settings import OutcomeWords
    from features.tables.company import Company
    from models.registry.recommendations import RecommendationRecord
    from models.scorecard.scorecard import Weighting
    from pipelines.weights.recommend import Recommended

FEW = 5
"""With fewer outcomes it is too early to say who foretold them better."""


@dataclass(frozen=True)
class Since:
    """What happened to rows that were observed after a recommendation.

    Parameters
    ----------
    rows, outcomes : int
        Rows that matured since, and those of them with the outcome.
    first, last : date
        Their observation dates.
    measured : dict or None
        Today's weights as of then (``_today``) against the recommended ones: ``auc_today``,
        ``auc``, ``auc_ahead`` and ``caught_today``, ``caught``, ``caught_ahead`` (share of the
        rows with the outcome that were flagged, with as many flags), both with 90 % intervals
        ``_low``, ``_high``. None where it is too early to say.
    """

    rows: int
    outcomes: int
    first: date
    last: date
    measured: dict[str, float] | None


@dataclass(frozen=True)
class Past(JsonReady):
    """One recommendation and what came of it.

    Parameters
    ----------
    record : RecommendationRecord
        What was recommended.
    adoption : Adoption
        Of all segments that a change was recommended for.
    by_segment : dict of str to Adoption
        Of each, and of "all".
    since : Since or None
        None where no row has matured since, or none can be scored.
    notes : list of str
        What is otherwise now than it was then, one sentence each.
    """

    record: RecommendationRecord
    adoption: Adoption
    by_segment: dict[str, Adoption]
    since: Since | None
    notes: list[str]


@dataclass(frozen=True)
class History:
    """All recommendations for an outcome.

    Parameters
    ----------
    outcome : str
        Its name.
    words : OutcomeWords
        How people speak of it.
    good : bool
        Whether it is good news.
    past : list of Past
        The newest first.
    warnings : list of str
        One sentence each.
    """

    outcome: str
    words: OutcomeWords
    good: bool
    past: list[Past]
    warnings: list[str]

    def to_dict(self) -> Json:
        """Return what ``recommend --history --json`` prints."""
        return {
            "outcome": self.outcome,
            "recommendations": [each.to_dict() for each in self.past],
            "warnings": self.warnings,
        }


def record_recommendation(project: Project, recommended: Recommended) -> bool:
    """Keep a recommendation, unless the newest one kept says the same.

    Returns
    -------
    bool
        Whether it was news.

    Raises
    ------
    RegistryError
        When the registry cannot be read or written.
    """
    from models.registry.recommendations import (
        RecommendationRecord,
        log_recommendation,
        recommendation_records,
    )

    advice = recommended.advice
    newest_date = date.fromisoformat(recommended.counts["last_date"])
    record = RecommendationRecord(
        made_at=recommended.made_at,
        outcome=recommended.outcome,
        outcome_settings=project.settings.outcome.model_dump(mode="json"),
        model_version=recommended.version,
        config_fingerprint=project.fingerprint,
        learnt_until=newest_date + timedelta(days=recommended.model.maturity_days),
        measures={
            note.name: [signal.name for signal in note.signals] for note in recommended.measures
        },
        today={
            name: {line.measure: line.today for line in found.advice}
            for name, found in advice.items()
        },
        recommended={name: found.weights for name, found in advice.items()},
        intervals={
            name: {line.measure: (line.low, line.high) for line in found.advice}
            for name, found in advice.items()
        },
        cuts={name: recommended.replayed.cuts[name] for name in (TODAY, RECOMMENDED)},
    )
    folder, name = project.registry_folder, project.settings.registry.model_name
    before, _ = recommendation_records(folder, name, limit=1)
    if before and record.says_the_same(before[0]):
        return False
    grading, segments = recommended.scorecard.grading, recommended.model.segments
    log_recommendation(record, grading, segments, folder=folder, name=name)
    return True


def history(project: Project, on: date | None = None) -> History:
    """Tell what was recommended, what was adopted, and what has happened since.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    on : date or None
        The day it is asked; today when None.

    Raises
    ------
    RegistryError
        When the registry cannot be read.
    SettingsError, DataError
        When a setting is impossible or the data break the contract.
    """
    from features.build import signals_of
    from features.outcomes.labels import declared_for
    from models.registry.recommendations import recommendation_records

    settings = project.settings
    folder, name = project.registry_folder, settings.registry.model_name
    records, unreadable = recommendation_records(folder, name)
    warnings = []
    if unreadable:
        warnings.append(
            f"{unreadable} recommendation{'s' if unreadable > 1 else ''} in the registry can no"
            " longer be read"
        )
    past: list[Past] = []
    if records:
        with open_company(project) as company:
            signals = declared_for(signals_of(company, settings.signals), settings.outcome)
            later = _later_rows(project, company, min(each.learnt_until for each in records))
        measures = scorecard_measures(settings.scorecard, signals)
        names = [measure.name for measure in measures]
        now = named_weights(names, weights_today(settings.scorecard, names))
        graded = {measure.name: [each.name for each in measure.signals] for measure in measures}
        seen = [(on or datetime.now(UTC).date(), now)]
        for record in records:
            past.append(_told(project, record, seen, graded, later))
            seen.insert(0, (record.made_at.date(), record.today))
    good = settings.outcome.is_good
    return History(project.outcome_name, settings.outcome.words, good, past, warnings)


def _told(
    project: Project,
    record: RecommendationRecord,
    seen: Sequence[tuple[date, Weighting]],
    graded: Mapping[str, Sequence[str]],
    later: pd.DataFrame | None,
) -> Past:
    whole, by_segment = adoption_of(record, seen)
    notes = list(_differences(project, record, graded))
    since, problem = _since(project, record, later)
    return Past(record, whole, by_segment, since, [*notes, *problem])


def _differences(
    project: Project, record: RecommendationRecord, graded: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    now = project.settings.outcome.model_dump(mode="json")
    changed = [key for key in now if now[key] != record.outcome_settings.get(key)]
    if changed:
        told = ", ".join(f"{key} was {record.outcome_settings.get(key)}" for key in changed[:4])
        yield (
            f"The outcome is defined otherwise now ({told[:300]}): what happened since is told by"
            " today's definition"
        )
    fresh = [name for name in graded if name not in record.measures]
    gone = [name for name in record.measures if name not in graded]
    other = [
        name for name in graded if name in record.measures and graded[name] != record.measures[name]
    ]
    for names, what in (
        (fresh, "was added to the scorecard since"),
        (gone, "was taken out of the scorecard since"),
        (other, "is graded by other signals since"),
    ):
        if names:
            yield f"{sample(names)} {what}"


def _later_rows(project: Project, company: Company, start: date) -> pd.DataFrame | None:
    """Build the matured rows that were observed from a day on; None where there are none."""
    from features.build import build_features
    from features.outcomes.labels import matured_dates

    settings = project.settings
    dates = [day for day in matured_dates(company, settings.outcome) if day >= start]
    if not company.is_dated or not dates:
        return None
    frame = build_features(company, dates, settings.outcome, settings.signals, labelled=True)
    if project.registry.has_champion():
        # As they were recommended: held against decisions.
        frame = decided(frame, project.registry.champion().model)
    return None if frame.empty else with_arr(frame)


def _since(
    project: Project, record: RecommendationRecord, later: pd.DataFrame | None
) -> tuple[Since | None, list[str]]:
    """Measure the weights of then against the recommended ones on rows that neither had seen."""
    import pandas as pd

    from models.registry.recommendations import recorded_scorecard
    from models.scorecard.replay import replay
    from models.scorecard.scorecard import Cuts, Scorecard

    if later is None:
        return None, []
    rows = later[later["observation_date"] >= pd.Timestamp(record.learnt_until)]
    if rows.empty:
        return None, []
    dates, outcomes = rows["observation_date"], int(rows["happened"].sum())
    told = Since(len(rows), outcomes, dates.min().date(), dates.max().date(), None)
    if min(outcomes, len(rows) - outcomes) < FEW:
        return told, []
    folder, name = project.registry_folder, project.settings.registry.model_name
    kept = recorded_scorecard(folder, name, record.run_id)
    if kept is None:
        return None, ["Its grading can no longer be read, so that later rows cannot be scored"]
    grading, segments = kept
    needed = {each.name for measure in grading.measures for each in measure.signals}
    gone = sorted((needed | set(segments.settings.required_columns)) - set(rows.columns))
    if gone:
        return None, [f"The company no longer has {sample(gone)}, so that nothing can be scored"]
    segment = segments.assign(rows).to_numpy(dtype=object)
    grades = grading.grades(rows, segment)
    scores = {
        which: Scorecard(grading, weights).score_of(grades, segment)
        for which, weights in ((TODAY, record.today), (RECOMMENDED, record.recommended))
    }
    # As many flags for the one as for the other, where the weights of then turned red and green.
    colours = record.cuts[TODAY].colours(scores[TODAY])
    red, green = float((colours == "red").mean()), float((colours == "green").mean())
    cuts = {
        TODAY: record.cuts[TODAY],
        RECOMMENDED: Cuts.with_shares(scores[RECOMMENDED], red, green, exact=True),
    }
    measured = replay(
        rows.assign(segment=EVERYBODY),
        scores,
        cuts,
        TODAY,
        good=project.settings.outcome.is_good,
        seed=project.settings.training.seed,
    )
    return replace(told, measured=_measured(measured.table)), []


def _measured(table: pd.DataFrame) -> dict[str, float]:
    rows = {row["contender"]: row for row in table.to_dict("records")}
    then, advised = rows[TODAY], rows[RECOMMENDED]
    measures = {}
    for name in ("auc", "caught"):
        for end in ("", "_low", "_high"):
            measures[f"{name}_today{end}"] = float(then[f"{name}{end}"])
            measures[f"{name}{end}"] = float(advised[f"{name}{end}"])
            measures[f"{name}_ahead{end}"] = float(advised[f"{name}_ahead{end}"])
    return measures
