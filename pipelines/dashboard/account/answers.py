"""API answers about an account."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from pipelines.dashboard.access.notes import as_seen_by
from pipelines.dashboard.panel.answers import Moment, State

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.account.details import AccountDetails
    from pipelines.dashboard.account.view import AccountView
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.scoring.moves.trend import AccountTrend


class ReasonAnswer(BaseModel):
    """One of the largest reasons of a score."""

    signal: str
    group: str | None
    points: float
    value: str | None
    sentence: str
    play: str | None


class AccountAnswer(BaseModel):
    """An account of the newest run, as its score was issued."""

    account_id: str
    name: str | None
    outcome: str
    as_of: date
    model_version: str
    revision: int
    issued_at: Moment
    segment: str
    score: float
    band: str
    band_meaning: str
    enough_evidence: bool | None
    band_days: float | None
    band_limits: str
    probability: float
    probability_low: float | None
    probability_high: float | None
    probability_if_due: float | None
    timing: str | None
    coverage: float
    baseline_score: float
    groups: dict[str, float]
    reasons: list[ReasonAnswer]
    plays: list[str]
    mrr: float | None
    arr: float | None
    stake: float | None
    attributes: dict[str, Any]


class DatedScoreAnswer(BaseModel):
    """A score as it was issued."""

    as_of: date
    score: float
    band: str
    probability: float
    segment: str
    model_version: str
    band_days: float | None
    issued_at: Moment | None
    revision: int | None


class ModelChange(BaseModel):
    """From when another model version made the scores."""

    as_of: date
    before: str
    after: str


class HistoryAnswer(BaseModel):
    """Every date on which an account was scored, the earliest first."""

    account_id: str
    outcome: str
    scores: list[DatedScoreAnswer]
    model_changes: list[ModelChange]


class SignalAnswer(BaseModel):
    """One signal of an account."""

    signal: str
    group: str
    label: str
    healthy: Literal["higher", "lower", "none"]
    value: float | str | None
    points: float
    sentence: str
    below: float | None
    alike: float | None
    known: float | None
    past: dict[date, float | str | None]


class PeersAnswer(BaseModel):
    """Whom ``below``, ``alike`` and ``known`` of a signal are shares of."""

    segment: str
    first: date
    last: date


class RatingAnswer(BaseModel):
    """What somebody said of an account."""

    rated_on: date
    rater: str | None
    dimension: str | None
    level: float
    meaning: str | None


class Explanation(BaseModel):
    """What the source tables tell of an account on the date of the run."""

    account_id: str
    as_of: date
    model_version: str
    segment: str
    baseline: float
    score: float
    signals: list[SignalAnswer]
    peers: PeersAnswer | None
    ratings: list[RatingAnswer]
    move: dict[str, Any] | None
    notes: list[str]
    timing: str | None
    curve: dict[str, Any] | None


class ExplanationAnswer(BaseModel):
    """An explanation, or why there is none, or none yet: ask again then."""

    state: State
    sentence: str | None
    explanation: Explanation | None


def enough_evidence(snapshot: Snapshot) -> bool | None:
    """Whether behaviour was shown to foretell the outcome; None where its model is not at hand."""
    return None if snapshot.model is None else snapshot.contents.foretells


def account_answer(view: AccountView, snapshot: Snapshot) -> AccountAnswer:
    """Tell of an account what its page tells at once."""
    row, run = view.row, snapshot.run
    plain = (str, int, float, bool, date, type(None))
    named = ("segment", "score", "band", "band_days", "probability", "probability_if_due")
    return AccountAnswer(
        account_id=row["account_id"],
        name=view.name,
        outcome=snapshot.outcome,
        as_of=run.key.as_of,
        model_version=run.key.model_version,
        revision=run.revision,
        issued_at=run.issued_at,
        **{name: row[name] for name in (*named, "coverage", "baseline_score")},
        band_limits=view.limits,
        timing=view.timing,
        probability_low=None if view.interval is None else view.interval[0],
        probability_high=None if view.interval is None else view.interval[1],
        band_meaning=view.meaning,
        enough_evidence=enough_evidence(snapshot),
        groups={
            name.removeprefix("points_"): value
            for name, value in row.items()
            if name.startswith("points_")
        },
        reasons=[
            ReasonAnswer(
                signal=line.signal,
                group=line.group or None,
                points=line.points,
                value=line.value,
                sentence=line.sentence,
                play=line.play,
            )
            for line in view.reasons
        ],
        plays=view.plays,
        mrr=row["mrr"],
        arr=row["arr"],
        stake=row["stake"],
        attributes={
            name: value if isinstance(value, plain) else str(value)
            for name, value in view.attributes.items()
        },
    )


def history_answer(trend: AccountTrend) -> HistoryAnswer:
    """Tell of an account's issued scores."""
    return HistoryAnswer.model_validate(trend.to_dict())


def explanation_of(details: AccountDetails, visitor: Visitor) -> Explanation:
    """Tell of an account what was computed of it."""
    peers = details.peers
    standings = {} if peers is None else peers.standings
    return Explanation(
        account_id=details.account_id,
        as_of=details.as_of,
        model_version=details.model_version,
        segment=details.segment,
        baseline=details.baseline,
        score=details.score,
        signals=[
            SignalAnswer(
                signal=line.signal.name,
                group=line.signal.group,
                label=line.signal.label,
                healthy=line.signal.healthy,
                value=line.reason.value,
                points=line.reason.points,
                sentence=line.reason.sentence,
                past=line.past,
                **{
                    name: getattr(standings.get(line.signal.name), name, None)
                    for name in ("below", "alike", "known")
                },
            )
            for line in details.lines
        ],
        peers=None
        if peers is None
        else PeersAnswer(segment=peers.segment, first=peers.first, last=peers.last),
        ratings=[RatingAnswer.model_validate(one, from_attributes=True) for one in details.ratings],
        move=None if details.move is None else details.move.to_dict(),
        notes=as_seen_by(visitor, details.notes),
        timing=details.timing,
        curve=None if details.curve is None else details.curve.to_dict(),
    )
