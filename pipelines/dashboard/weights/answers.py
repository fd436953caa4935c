"""API answers about weights."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pipelines.dashboard.panel.answers import State
from pipelines.dashboard.weights.bench import Bench

if TYPE_CHECKING:
    from models.scorecard.advice import SegmentAdvice
    from pipelines.weights.what_if import WhatIf

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class WhatIfQuestion(BaseModel):
    """Weights to try."""

    model_config = ConfigDict(extra="forbid")

    weights: dict[Annotated[str, Field(max_length=300)], float] = Field(
        description="Measure to percent; they sum to 100, and one left out weighs nothing.",
        min_length=1,
        max_length=100,
        examples=[{"usage": 40, "support": 60}],
    )
    segment: Annotated[str, Field(max_length=300)] | None = Field(
        None,
        description="The one segment to weigh so while the others keep today's weights.",
    )


class WhatIfFound(BaseModel):
    """What weights would have done, as ``healthscore what-if --json`` tells it."""

    outcome: str
    model_version: str
    segment: str | None
    weights: dict[str, dict[str, dict[str, float]]]
    taught_until: date
    replayed_from: date
    replayed_until: date
    replayed: dict[str, Any]
    warnings: list[str]


class WhatIfAnswer(BaseModel):
    """A replay, or why there is none, or none yet: ask again then."""

    state: State
    sentence: str | None
    what_if: WhatIfFound | None


class AdviceAnswer(BaseModel):
    """One weight: today's, the recommended one, and what outcomes alone say."""

    measure: str
    today: float
    recommended: float
    learnt: float
    low: float
    high: float
    verdict: str
    why: str


class SegmentWeights(BaseModel):
    """The weights of a segment, or of "all"."""

    segment: str
    enough_evidence: bool
    borrowed: bool
    rows: int
    positives: int
    advice: list[AdviceAnswer]


class WeightsFound(BaseModel):
    """Weights by segment, and what they were tried on."""

    outcome: str
    model_version: str
    is_assumed: bool
    measures: list[str]
    today: dict[str, dict[str, float]]
    segments: list[SegmentWeights]
    taught_until: date
    replayed_from: date
    replayed_until: date
    replayed: dict[str, Any]
    replayed_accounts: int
    replayed_of: int
    warnings: list[str]


class WeightsAnswer(BaseModel):
    """Weights, or why there are none, or none yet: ask again then."""

    state: State
    sentence: str | None
    weights: WeightsFound | None


def what_if_found(what_if: WhatIf) -> WhatIfFound:
    """Tell what weights would have done."""
    return WhatIfFound.model_validate(_without_infinity(what_if.to_dict()))


def weights_found(outcome: str, bench: Bench) -> WeightsFound:
    """Tell what stands on a bench."""
    known = bench.known
    accounts = known.rows["account_id"].nunique()
    return WeightsFound(
        outcome=outcome,
        model_version=known.version,
        is_assumed=bench.is_assumed,
        measures=list(known.names),
        today=bench.weights_today,
        segments=[_segment(advice) for advice in bench.advice.values()],
        taught_until=bench.taught_until,
        replayed_from=bench.first,
        replayed_until=bench.last,
        replayed=_without_infinity(bench.replayed.to_dict()),
        replayed_accounts=accounts,
        replayed_of=accounts if bench.drawn is None else bench.drawn[1],
        warnings=known.warnings,
    )


def _segment(advice: SegmentAdvice) -> SegmentWeights:
    return SegmentWeights(
        segment=advice.segment,
        enough_evidence=advice.enough_evidence,
        borrowed=advice.borrowed,
        rows=advice.rows,
        positives=advice.positives,
        advice=[AdviceAnswer.model_validate(line, from_attributes=True) for line in advice.advice],
    )


def _without_infinity(content: Any) -> Any:
    """JSON has no infinity, which stands for a cut that nobody reaches."""
    if isinstance(content, Mapping):
        return {key: _without_infinity(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_infinity(value) for value in content]
    return None if content in (float("inf"), float("-inf")) else content
