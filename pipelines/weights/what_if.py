"""Replay weights somebody thinks of, before anybody is scored by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from features.errors import SettingsError, nearest, sample
from features.json_values import Json
from pipelines.project.company import open_company
from pipelines.project.project import Project
from pipelines.project.settings.scorecard import WEIGHED, read_weights
from pipelines.reports.segments import segment_called
from pipelines.reports.terminal.progress import show_progress
from pipelines.weights.rows import RECOMMENDED, TODAY, ReplayRows, replay_rows

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from models.scorecard.replay import Replayed
    from models.scorecard.scorecard import Weighting

WHAT_IF = "what if"


@dataclass(frozen=True)
class WhatIf:
    """What a set of weights would have done, beside the others.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    words : OutcomeWords
        How people speak of it.
    good : bool
        Whether it is good news.
    version : str
        Version of the champion whose hold-out was replayed.
    segment : str or None
        The one segment that was weighed so; None for all of them.
    measures : tuple of str
        Lines of the scorecard.
    weights : dict of str to Weighting
        "today", "what if" and "recommended" (as it would have been on the first replayed date) to
        segment, or "all", to measure to percent. Every segment of the model is named.
    replayed : Replayed
        These and the "full model" on dates that none of them was taught with.
    taught_until, replayed_from, replayed_until : date
        Last date that the recommended weights were learnt from, and the replayed dates.
    warnings : list of str
        One sentence each.
    """

    outcome: str
    words: OutcomeWords
    good: bool
    version: str
    segment: str | None
    measures: tuple[str, ...]
    weights: dict[str, Weighting]
    replayed: Replayed
    taught_until: date
    replayed_from: date
    replayed_until: date
    warnings: list[str]

    def to_dict(self) -> Json:
        """Return what ``what-if --json`` prints."""
        return {
            "outcome": self.outcome,
            "model_version": self.version,
            "segment": self.segment,
            "weights": {
                name: {segment: dict(row) for segment, row in weighting.items()}
                for name, weighting in self.weights.items()
            },
            "taught_until": self.taught_until.isoformat(),
            "replayed_from": self.replayed_from.isoformat(),
            "replayed_until": self.replayed_until.isoformat(),
            "replayed": self.replayed.to_dict(),
            "warnings": self.warnings,
        }


def what_if(project: Project, text: str, *, segment: str | None = None) -> WhatIf:
    """Replay weights over the dates the champion was judged on.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome; nothing is changed or recorded.
    text : str
        The weights, as in ``usage=40,support=60``.
    segment : str or None
        The one segment to weigh so while the others keep today's weights.

    Raises
    ------
    SettingsError
        When the weights cannot be read, do not sum to 100, or name no line of the scorecard; or
        the model has no such segment.
    RegistryError, EvidenceError, DataError
        As for :func:`pipelines.weights.rows.replay_rows`.
    """
    # What needs no data is refused before they are read.
    given = read_weights(text, [*WEIGHED, *project.settings.scorecard.measures])
    with open_company(project) as company:
        known = replay_rows(project, company)
    weights = _over_the_lines(given, known)
    segment = known_segment(segment, sorted(set(known.frame["segment"])))

    def replay(asked: Weighting) -> Replayed:
        with show_progress("What-if") as step:
            step("replaying the weights", 1, 1)
            return known.replay(project, {WHAT_IF: asked})

    segments = sorted(set(known.frame["segment"]) - {EVERYBODY})
    dates = (known.taught_until, *known.from_until)
    return weighed(project, known, weights, segment, segments=segments, dates=dates, replay=replay)


def weighed(
    project: Project,
    known: ReplayRows,
    weights: Mapping[str, float],
    segment: str | None,
    *,
    segments: Sequence[str],
    dates: tuple[date, date, date],
    replay: Callable[[Weighting], Replayed],
) -> WhatIf:
    """Replay weights over every line of the scorecard on rows that are at hand.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    known : ReplayRows
        The rows.
    weights : mapping of str to float
        Every line of the scorecard to percent.
    segment : str or None
        The one segment to weigh so while the others keep today's weights.
    segments : sequence of str
        The model's, without "all".
    dates : tuple of date
        Last date that the recommended weights were learnt from, first and last replayed date.
    replay : callable
        Replays the weights of every segment by name, and of "all".
    """
    today = today_by_segment(known, segments)
    asked = {name: dict(weights if segment in (None, name) else row) for name, row in today.items()}
    taught_until, first, last = dates
    return WhatIf(
        outcome=project.outcome_name,
        words=project.settings.outcome.words,
        good=known.model.scale.good,
        version=known.version,
        segment=segment,
        measures=known.names,
        weights={
            TODAY: today,
            WHAT_IF: asked,
            RECOMMENDED: {
                name: known.advice.get(name, known.advice[EVERYBODY]).weights for name in today
            },
        },
        replayed=replay(asked),
        taught_until=taught_until,
        replayed_from=first,
        replayed_until=last,
        warnings=[*known.warnings, *_silent(weights, known)],
    )


def _over_the_lines(given: Mapping[str, float], known: ReplayRows) -> dict[str, float]:
    """Arrange weights over the lines of the scorecard; a weight of 0 needs no line."""
    strange = [name for name, weight in given.items() if weight and name not in known.names]
    if strange:
        raise SettingsError(
            f"--weights names {sample(strange)}, of which this company's scorecard has no line: no"
            " table tells of it, or a measure of your own is graded by its signals; the lines are"
            f" {', '.join(known.names)}"
        )
    return percent_of_lines(given, known.names)


def percent_of_lines(weights: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Arrange weights over the lines of a scorecard, so that they sum to 100."""
    total = sum(weights.values())
    return {name: 100 * weights.get(name, 0.0) / total for name in names}


def today_by_segment(known: ReplayRows, segments: Sequence[str]) -> dict[str, dict[str, float]]:
    """Today's weights of every segment by name, and of "all", so that each can be changed alone."""
    named = known.weighting(known.today)
    return {name: dict(named.get(name, named[EVERYBODY])) for name in (*segments, EVERYBODY)}


def known_segment(segment: str | None, names: Sequence[str]) -> str | None:
    """Find a segment of the model by its name or its words, as "enterprise" of "plan=enterprise".

    Raises
    ------
    SettingsError
        When it is not among the names.
    """
    if segment is None:
        return None
    found = segment_called(segment, names)
    if found not in names:
        raise SettingsError(
            f"There is no segment {sample([segment])} of the model"
            f"{nearest(segment, names) or f'; there are {sample(names, 8)}'}"
        )
    return found


def _silent(weights: Mapping[str, float], known: ReplayRows) -> list[str]:
    silent = [
        line.measure
        for line in known.advice[EVERYBODY].advice
        if line.extremes is None and weights[line.measure]
    ]
    if not silent:
        return []
    return [f"No table tells of {sample(silent, 9)}: its weight moves no score"]
