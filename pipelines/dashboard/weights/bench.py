"""The bench that weights are tried on: the champion's replayed rows, graded once and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from pipelines.dashboard.panel.registry_reads import BUSY, RegistryReads, settled
from pipelines.dashboard.web.background import Background, Done
from pipelines.project.company import open_company
from pipelines.weights.recommend import effects, shown_better
from pipelines.weights.rows import ReplayRows, advice_from, replay_rows
from pipelines.weights.what_if import today_by_segment

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.scorecard.advice import SegmentAdvice
    from models.scorecard.replay import Replayed
    from pipelines.project.project import Project

KEPT, WAITING, STEPS = 4, 4, 4
MOST_ROWS = 15_000
"""Of more rows, those of accounts drawn by chance are replayed, so that sliders answer at once."""
Tell = Callable[[str, int], None]


@dataclass(frozen=True)
class Bench:
    """Rows to try weights on, and what today's weights, the recommended and the model did on them.

    Parameters
    ----------
    known : ReplayRows
        The rows, without those that the weights were learnt from.
    grades : ndarray of shape (m, n_measures)
        Of the replayed rows.
    today : ndarray of shape (m,)
        Their scores by today's weights.
    replayed : Replayed
        "today", "recommended" and "full model".
    advice : dict of str to SegmentAdvice
        By segment, and "all"; learnt from every matured row.
    segments : tuple of str
        The model's, without "all".
    taught_until, first, last : date
        Last date that the replayed weights were learnt from, and the replayed dates.
    drawn : (int, int) or None
        How many of how many accounts are replayed, where not all are.
    is_assumed : bool
        Whether no weights are configured, so that equal ones stand in for today's.
    """

    known: ReplayRows
    grades: Floats
    today: Floats
    replayed: Replayed
    advice: dict[str, SegmentAdvice]
    segments: tuple[str, ...]
    taught_until: date
    first: date
    last: date
    drawn: tuple[int, int] | None
    is_assumed: bool

    @property
    def weights_today(self) -> dict[str, dict[str, float]]:
        """Today's weights of every segment by name, and of "all"."""
        return today_by_segment(self.known, self.segments)


class WeightsBenches:
    """A bench per champion, set up beside the requests.

    Parameters
    ----------
    reads : RegistryReads
        Tells who the champion is.
    """

    def __init__(self, reads: RegistryReads) -> None:
        self.reads = reads
        self._benches = Background[Bench]("weights", threads=1, keep=KEPT, waiting=WAITING)
        self._steps: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def ask(self, project: Project) -> Future[Done[Bench]] | Done[Bench]:
        """Return the bench of the champion of now, being set up or ready.

        Which champion that is may be known a little late; the bench says whose it is.
        """
        champion = settled(self.reads.champion(project))
        if champion.value is None:
            return Done(failure=champion.failure)
        name = project.outcome_name

        def tell(step: str, number: int) -> None:
            with self._lock:
                self._steps[name] = (step, number)

        work = self._benches.ask((name, champion.value.version), lambda: set_up(project, tell))
        return Done(failure=BUSY) if work is None else work

    def step(self, project: Project) -> tuple[str, int]:
        """Say what is being done, and the number of that step of :data:`STEPS`."""
        with self._lock:
            return self._steps.get(project.outcome_name, ("waiting for its turn", 1))

    def close(self) -> None:
        """Begin nothing more."""
        self._benches.close()


def set_up(project: Project, tell: Tell, most_rows: int = MOST_ROWS) -> Bench:
    """Build the rows a champion was judged on, grade them, and learn what to recommend.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    tell : callable
        Told what is being done.
    most_rows : int
        Most rows to replay.

    Raises
    ------
    RegistryError, EvidenceError, SettingsError, DataError
        As for :func:`pipelines.weights.rows.replay_rows`.
    """
    from models.backtest.signal_evidence import some_accounts
    from models.scorecard.grading import Grading
    from models.scorecard.scorecard import Scorecard

    tell("reading the tables and the dates that judged the model", 1)
    with open_company(project) as company:
        known = replay_rows(project, company)
    tell("learning the weights from every matured date", 2)
    frame, seed = known.frame, project.settings.training.seed
    advice = advice_from(
        frame,
        Grading.fit(known.measures, frame, frame["segment"]),
        known.today,
        known.foretells,
        good=known.model.scale.good,
        seed=seed,
    )
    tell("replaying today's weights and the recommended ones", 3)
    taught_until, (first, last) = known.taught_until, known.from_until
    segments = tuple(sorted(set(frame["segment"]) - {EVERYBODY}))
    accounts = known.rows["account_id"]
    chosen = some_accounts(accounts, seed=seed, most_rows=most_rows)
    rows = known.rows.iloc[chosen].reset_index(drop=True)
    everybody = int(accounts.nunique())
    # What the weights were learnt from is by far the most, and is not needed again.
    known = replace(known, rows=rows, frame=frame.iloc[:0], past=known.past[:0])
    label = rows["segment"].to_numpy(dtype=object)
    grades = known.grading.grades(rows, label)
    replayed = known.replay(project)
    tell("putting it together", STEPS)
    good, horizon_days = known.model.scale.good, project.settings.outcome.horizon_days
    advice = shown_better(advice, effects(replayed, rows, horizon_days, good=good))
    return Bench(
        known=known,
        grades=grades,
        today=Scorecard(known.grading, known.weighting(known.today)).score_of(grades, label),
        replayed=replayed,
        advice=advice,
        segments=segments,
        taught_until=taught_until,
        first=first,
        last=last,
        drawn=None if len(chosen) == len(accounts) else (rows["account_id"].nunique(), everybody),
        is_assumed=not project.settings.scorecard.weights,
    )


def recommended_by_segment(bench: Bench) -> dict[str, dict[str, float]]:
    """Return the recommended weights of every segment by name, and of "all"."""
    return {
        name: dict(bench.advice.get(name, bench.advice[EVERYBODY]).weights)
        for name in (*bench.segments, EVERYBODY)
    }
