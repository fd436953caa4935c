"""What-if on a bench that stands: what ``healthscore what-if`` does, in an instant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from features.errors import SettingsError, sample
from pipelines.dashboard.weights.bench import Bench
from pipelines.project.settings.scorecard import weights_problem
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY
from pipelines.weights.what_if import (
    WHAT_IF,
    WhatIf,
    known_segment,
    percent_of_lines,
    weighed,
)

if TYPE_CHECKING:
    from models.scorecard.replay import Replayed
    from pipelines.project.project import Project

ORDER = (TODAY, WHAT_IF, RECOMMENDED, FULL_MODEL)


def what_if_now(
    project: Project, bench: Bench, given: Mapping[str, float], segment: str | None
) -> WhatIf:
    """Replay weights; the same as :func:`pipelines.weights.what_if.what_if` on the bench's rows.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    bench : Bench
        The rows.
    given : mapping of str to float
        Measure to percent; one that is left out weighs nothing.
    segment : str or None
        The one segment to weigh so while the others keep today's weights.

    Raises
    ------
    SettingsError
        When the weights do not sum to 100, name no line of the scorecard or are out of bounds, or
        the model has no such segment.
    """
    weights = _over_the_lines(given, bench)
    segment = known_segment(segment, [*bench.segments, EVERYBODY])
    return weighed(
        project,
        bench.known,
        weights,
        segment,
        segments=bench.segments,
        dates=(bench.taught_until, bench.first, bench.last),
        replay=lambda asked: _replayed(project, bench, asked),
    )


def _replayed(project: Project, bench: Bench, asked: Mapping[str, Mapping[str, float]]) -> Replayed:
    """Measure the new weights beside today's, and put them among what is known of the others."""
    import pandas as pd

    from models.scorecard.replay import Replayed, replay
    from models.scorecard.scorecard import Cuts, Scorecard

    known, fixed = bench.known, bench.replayed
    label = known.rows["segment"].to_numpy(dtype=object)
    score = Scorecard(known.grading, asked).score_of(bench.grades, label)
    colours = fixed.cuts[TODAY].colours(bench.today)
    red, green = float((colours == "red").mean()), float((colours == "green").mean())
    cuts = {TODAY: fixed.cuts[TODAY], WHAT_IF: Cuts.with_shares(score, red, green)}
    fresh = replay(
        known.rows,
        {TODAY: bench.today, WHAT_IF: score},
        cuts,
        TODAY,
        events=known.events,
        good=known.model.scale.good,
        seed=project.settings.training.seed,
    )

    def merged(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
        both = pd.concat([before, now[now["contender"] == WHAT_IF]])
        places = {name: place for place, name in enumerate(dict.fromkeys(before["segment"]))}
        rank = both["segment"].map(places) * len(ORDER) + both["contender"].map(ORDER.index)
        return both.iloc[rank.to_numpy().argsort(kind="stable")].reset_index(drop=True)

    every = {**fixed.cuts, **cuts}
    return Replayed(
        merged(fixed.table, fresh.table),
        merged(fixed.moves, fresh.moves),
        {name: every[name] for name in ORDER},
        TODAY,
    )


def _over_the_lines(weights: Mapping[str, float], bench: Bench) -> dict[str, float]:
    """Arrange weights over the lines of the scorecard."""
    unread = [name for name, weight in weights.items() if not math.isfinite(weight)]
    if unread:
        raise SettingsError(f"The weight of {sample(unread)} is no number; write one from 0 to 100")
    if problem := weights_problem(weights, bench.known.names):
        who = "The weights" if problem.startswith("must") else "The weighting"
        raise SettingsError(f"{who} {problem}")
    return percent_of_lines(weights, bench.known.names)
