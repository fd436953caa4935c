"""Recommend weights for the scorecard a team runs, and replay what they would have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TypedDict

from features.catalog import EVERYBODY
from features.errors import sample
from models.measures.estimate import UNKNOWN, Estimate
from pipelines.project.company import open_company
from pipelines.project.project import Project
from pipelines.reports.freshness import ended_note
from pipelines.reports.terminal.progress import show_progress
from pipelines.weights.rows import RECOMMENDED, TODAY, ReplayRows, advice_from, replay_rows

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.outcomes.settings import OutcomeWords
    from models.scorecard.advice import SegmentAdvice
    from models.scorecard.behaviour_points import BehaviourPoints
    from models.scorecard.grading import Grading
    from models.scorecard.replay import Replayed
    from models.scorecard.scorecard import Scorecard
    from models.scoring.health_model import HealthModel
    from pipelines.weights.evidence import Evidence

STEPS = 5
DAYS = 365


@dataclass(frozen=True)
class MeasureNote:
    """What people need to know of a measure.

    Parameters
    ----------
    name : str
        What weights call it.
    signals : tuple of Signal
        What it is graded by; none where no table gives its group any.
    known : float
        Share of the rows in which its grade is known.
    """

    name: str
    signals: tuple[Signal, ...]
    known: float


@dataclass(frozen=True)
class Effect:
    """What the recommended weights would change, for as many red accounts as today.

    Parameters
    ----------
    segment : str
        Its name, or "all".
    happened : float
        Accounts with the outcome in twelve months, at the rate of the replayed dates.
    caught_today, caught : float
        How many of those today's weights, and the recommended ones, flag in time.
    more : Estimate
        How many more.
    arr : float or None
        ARR of all those accounts; None where ARR is not known.
    more_arr : Estimate
        ARR of how many more is flagged.
    cases : int
        Accounts with the outcome that were counted on the replayed dates.
    flagged_today, flagged : float or None
        Share of all accounts that either flags.
    """

    segment: str
    happened: float
    caught_today: float
    caught: float
    more: Estimate
    arr: float | None
    more_arr: Estimate
    cases: int = 0
    flagged_today: float | None = None
    flagged: float | None = None

    @property
    def cases_caught_today(self) -> float:
        """Of the cases that were counted, how many today's weights flag in time."""
        return self.cases * self.caught_today / self.happened if self.happened else 0.0

    @property
    def cases_caught(self) -> float:
        """Of the cases that were counted, how many the recommended weights flag in time."""
        return self.cases * self.caught / self.happened if self.happened else 0.0

    @property
    def is_better(self) -> bool:
        """Whether more were found; where nothing happened that is not known, and so True."""
        return self.more.value is None or self.more.value > 0


class RecommendationCounts(TypedDict):
    """What was learnt from; dates are ISO."""

    rows: int
    accounts: int
    positives: int
    dates: int
    first_date: str
    last_date: str


@dataclass(frozen=True)
class Recommended:
    """Recommended weights with all that speaks for them.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    words : OutcomeWords
        How people speak of it.
    good : bool
        Whether it is good news.
    made_at : datetime
        When, in UTC without a zone.
    model, version : HealthModel and str
        The champion and its version.
    created_at : str
        When it was trained (ISO, UTC).
    foretells : bool
        Whether behaviour was shown to foretell the outcome at all.
    advice : dict of str to SegmentAdvice
        By segment, and "all"; learnt from every matured row.
    measures : tuple of MeasureNote
        The lines of the scorecard.
    is_assumed : bool
        Whether no weights are configured, so that equal ones stand in for today's.
    scorecard : Scorecard
        The recommended one.
    replayed : Replayed
        "today", "recommended" (as it would have been on the first replayed date, nothing later
        known) and "full model" on dates that none of them was taught with.
    effects : dict of str to Effect
        By segment, and "all".
    taught_until, replayed_from, replayed_until : date
        Last date that the replayed weights were learnt from, and the replayed dates.
    behaviours : list of BehaviourPoints
        The same for teams that add up points.
    evidence : Evidence
        What the appendix shows.
    counts : dict
        ``rows``, ``accounts``, ``positives``, ``dates``, ``first_date``, ``last_date``.
    versions : dict of str to str
        ``model_version``, ``run_id``, ``config_fingerprint``, ``data_fingerprint``,
        ``healthscore``.
    warnings : list of str
        One sentence each.
    """

    outcome: str
    words: OutcomeWords
    good: bool
    made_at: datetime
    model: HealthModel
    version: str
    created_at: str
    foretells: bool
    advice: dict[str, SegmentAdvice]
    measures: tuple[MeasureNote, ...]
    is_assumed: bool
    scorecard: Scorecard
    replayed: Replayed
    effects: dict[str, Effect]
    taught_until: date
    replayed_from: date
    replayed_until: date
    behaviours: list[BehaviourPoints]
    evidence: Evidence
    counts: RecommendationCounts
    versions: dict[str, str]
    warnings: list[str]

    @property
    def segments(self) -> list[str]:
        """Segments in the order people read them: all first, then the largest."""
        own = [name for name in self.advice if name != EVERYBODY]
        return [EVERYBODY, *sorted(own, key=lambda name: -self.advice[name].rows)]


def recommend(project: Project) -> Recommended:
    """Learn what a scorecard's weights should be, and show what they would have done.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome; its champion and its registry are not touched.

    Raises
    ------
    RegistryError
        When there is no champion, or it was registered without its hold-out.
    EvidenceError
        When too little has matured to replay.
    SettingsError, DataError
        When a setting is impossible or the data break the contract.
    """
    from importlib.metadata import version as installed

    from models.scorecard.behaviour_points import behaviour_points
    from models.scorecard.grading import Grading
    from models.scorecard.scorecard import Scorecard
    from models.training.fingerprint import fingerprint
    from pipelines.weights.evidence import report_evidence

    seed = project.settings.training.seed
    with open_company(project) as company:
        ended = ended_note(company.data_end)
        known = replay_rows(project, company)
        with show_progress("Recommend") as step:
            frame, good = known.frame, known.model.scale.good
            step("learning the weights", 1, STEPS)
            grading = Grading.fit(known.measures, frame, frame["segment"])
            advice = advice_from(frame, grading, known.today, known.foretells, good=good, seed=seed)
            step("replaying them", 2, STEPS)
            replayed = known.replay(project)
            step("handing out points", 3, STEPS)
            happened = frame["happened"].to_numpy(dtype=float)
            behaviours = (
                behaviour_points(frame, known.signals, happened, good=good, seed=seed)
                if known.foretells
                else []
            )
            step("gathering the evidence", 4, STEPS)
            evidence = report_evidence(
                company,
                project,
                known.model,
                known.rows,
                frame,
                known.signals,
                known.events,
                seed=seed,
            )
            step("putting it together", STEPS, STEPS)
    first, last = known.from_until
    told = effects(replayed, known.rows, project.settings.outcome.horizon_days, good=good)
    advice = shown_better(advice, told)
    return Recommended(
        outcome=project.outcome_name,
        words=project.settings.outcome.words,
        good=good,
        made_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        model=known.model,
        version=known.version,
        created_at=known.created_at,
        foretells=known.foretells,
        advice=advice,
        measures=_notes(known, grading),
        is_assumed=not project.settings.scorecard.weights,
        scorecard=Scorecard(grading, {name: found.weights for name, found in advice.items()}),
        replayed=replayed,
        effects=told,
        taught_until=known.taught_until,
        replayed_from=first,
        replayed_until=last,
        behaviours=behaviours,
        evidence=evidence,
        counts=_counts(frame),
        versions={
            "model_version": known.version,
            "run_id": known.run_id,
            "config_fingerprint": project.fingerprint,
            "data_fingerprint": fingerprint(frame),
            "healthscore": installed("healthscore"),
        },
        warnings=[*([ended] if ended else []), *known.warnings, *_doubts(known, advice)],
    )


def shown_better(
    advice: Mapping[str, SegmentAdvice], told: Mapping[str, Effect]
) -> dict[str, SegmentAdvice]:
    """Keep the weights of a segment whose own replay found no more: nobody is advised to.

    Parameters
    ----------
    advice : mapping of str to SegmentAdvice
        What outcomes say, by segment and of "all".
    told : mapping of str to Effect
        What the recommended weights would have changed.
    """
    return {
        segment: one
        if segment == EVERYBODY or segment not in told or told[segment].is_better
        else one.kept()
        for segment, one in advice.items()
    }


def effects(
    replayed: Replayed, rows: pd.DataFrame, horizon_days: int, *, good: bool = False
) -> dict[str, Effect]:
    """Work out what the recommended weights would change in twelve months.

    Of each replayed date the outcome windows add up to a year's: what happened in the windows of a
    date, on average, times 365 over the days of a window.

    Parameters
    ----------
    replayed : Replayed
        Of "today" and "recommended".
    rows : DataFrame
        The replayed rows: ``observation_date``, ``segment``, ``happened`` and ``arr``.
    horizon_days : int
        Length of the outcome window.
    good : bool
        Whether the outcome is good news, so that green accounts are those that are flagged.
    """
    flag = "green" if good else "red"
    years = horizon_days * rows["observation_date"].nunique() / DAYS
    effects_by_segment = {}
    for segment, lines in replayed.table.groupby("segment", sort=False):
        told = lines.set_index("contender")
        inside = rows if segment == EVERYBODY else rows[rows["segment"] == segment]
        lost = inside[inside["happened"] == 1]
        happened, arr = len(lost) / years, float(lost["arr"].sum()) / years
        today, advised = told.loc[TODAY].to_dict(), told.loc[RECOMMENDED].to_dict()
        has_arr = bool(inside["arr"].notna().any())

        ahead = Estimate.read(advised, "caught_ahead")
        money = Estimate.read(advised, "caught_arr_ahead")
        effects_by_segment[str(segment)] = Effect(
            str(segment),
            happened,
            happened * float(today["caught"]),
            happened * float(advised["caught"]),
            ahead.times(happened),
            arr if has_arr else None,
            money.times(arr) if has_arr else UNKNOWN,
            cases=len(lost),
            flagged_today=float(today[flag]),
            flagged=float(advised[flag]),
        )
    return effects_by_segment


def _notes(known: ReplayRows, grading: Grading) -> tuple[MeasureNote, ...]:
    import numpy as np

    by_name = {signal.name: signal for signal in known.signals}
    grades = grading.grades(known.frame, known.frame["segment"])
    shares = 1 - np.isnan(grades).mean(axis=0)
    return tuple(
        MeasureNote(
            measure.name,
            tuple(by_name[graded.name] for graded in measure.signals),
            float(share),
        )
        for measure, share in zip(known.measures, shares, strict=True)
    )


def _counts(frame: pd.DataFrame) -> RecommendationCounts:
    dates = frame["observation_date"]
    return {
        "rows": len(frame),
        "accounts": int(frame["account_id"].nunique()),
        "positives": int(frame["happened"].sum()),
        "dates": int(dates.nunique()),
        "first_date": dates.min().date().isoformat(),
        "last_date": dates.max().date().isoformat(),
    }


def _doubts(known: ReplayRows, advice: dict[str, SegmentAdvice]) -> list[str]:
    doubts = []
    silent = [line.measure for line in advice[EVERYBODY].advice if line.why == "no data"]
    if silent:
        doubts.append(
            f"No table tells of {sample(silent, 9)}: its weight stays as it is and moves no score;"
            " map a table that does or take it out of the scorecard"
        )
    if known.frame["arr"].isna().all():
        doubts.append("MRR is not mapped, so accounts are counted where money would be")
    return doubts
