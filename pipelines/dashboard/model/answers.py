"""API answers about a model."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipelines.dashboard.access.notes import as_seen_by
from pipelines.dashboard.panel.answers import Moment, State

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.model.health import ModelHealth


class MovedAnswer(BaseModel):
    """What had moved at the last check."""

    signal: str
    segment: str
    weight: float
    psi: float
    psi_expected: float


class CheckAnswer(BaseModel):
    """A check of a champion."""

    number: int
    made_at: Moment
    as_of: date
    model_version: str
    status: str
    reasons: list[str]
    drifted: list[tuple[str, str]]
    challenger: str | None
    promoted: bool | None


class RecommendationAnswer(BaseModel):
    """Weights that were recommended."""

    made_at: Moment
    model_version: str
    learnt_until: date
    today: dict[str, dict[str, float]]
    recommended: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]


class BandAnswer(BaseModel):
    """What became of the accounts of a band on the dates that judged the model."""

    band: str
    rows: int
    positives: int
    expected_rate: float | None
    observed_rate: float | None
    low: float | None
    high: float | None


class ModelFound(BaseModel):
    """A champion, how it was judged, and what was decided since."""

    outcome: str
    model_version: str
    created_at: Moment
    age_days: int
    taught_until: date | None
    metrics: dict[str, float]
    bands: list[BandAnswer]
    checks: list[CheckAnswer]
    same_since: date | None
    moved: list[MovedAnswer]
    champions: dict[str, Any] | None
    recommendations: list[RecommendationAnswer]
    notes: list[str]


class ModelAnswer(BaseModel):
    """A model, or why there is none, or none yet: ask again then."""

    state: State
    sentence: str | None
    model: ModelFound | None


def model_found(outcome: str, health: ModelHealth, visitor: Visitor) -> ModelFound:
    """Tell what is on record of a champion."""
    champion, since = health.champion, health.same_since
    return ModelFound(
        outcome=outcome,
        model_version=champion.version,
        created_at=champion.created_at,
        age_days=health.age_days,
        taught_until=health.taught_until,
        metrics=health.metrics,
        bands=[BandAnswer.model_validate(band) for band in champion.model.bands],
        checks=[CheckAnswer.model_validate(check, from_attributes=True) for check in health.checks],
        same_since=None if since is None else since.as_of,
        moved=[MovedAnswer.model_validate(one, from_attributes=True) for one in health.moved],
        champions=None if health.history is None else health.history.to_dict(),
        recommendations=[
            RecommendationAnswer.model_validate(record, from_attributes=True)
            for record in health.recommendations
        ],
        notes=as_seen_by(visitor, health.notes),
    )
