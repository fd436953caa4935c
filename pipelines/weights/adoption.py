"""How far a recommendation was followed: the weights in use later against those recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from features.catalog import EVERYBODY

if TYPE_CHECKING:
    from models.registry.recommendations import RecommendationRecord
    from models.scorecard.scorecard import Weighting

Status = Literal["adopted", "partly adopted", "not adopted", "nothing to adopt"]
WITHIN = 1.0
"""Weights this near to the recommended ones, in points, are the recommended ones."""


@dataclass(frozen=True)
class Adoption:
    """How far a recommendation was followed.

    Parameters
    ----------
    status : str
        "adopted" where every weight came within a point of what was recommended; "nothing to
        adopt" where no change was.
    share : float or None
        Share of the recommended change that was made, from 0 to 1, when most of it was; in points
        of weight over all measures. None where no change was recommended.
    first_seen : date or None
        When that was first seen; None where nothing was adopted.
    still : bool
        Whether it still is so.
    """

    status: Status
    share: float | None
    first_seen: date | None
    still: bool


def adoption_of(
    record: RecommendationRecord, seen: Sequence[tuple[date, Weighting]]
) -> tuple[Adoption, dict[str, Adoption]]:
    """Tell how far a recommendation was followed, as a whole and by segment.

    Parameters
    ----------
    record : RecommendationRecord
        What was recommended.
    seen : sequence of (date, Weighting)
        The weights in use at later moments, oldest first, now being the last.

    Returns
    -------
    whole : Adoption
        Over all segments that a change was recommended for.
    by_segment : dict of str to Adoption
        Of each, and of "all".
    """
    by_segment = {place: _adoption(record, [place], seen) for place in record.recommended}
    own = [
        place for place in by_segment if place != EVERYBODY and by_segment[place].share is not None
    ]
    if not own:
        return by_segment[EVERYBODY], by_segment
    if by_segment[EVERYBODY].status == "adopted" and _is_single(record, seen):
        # A team with one scorecard for every segment follows the line for all of them.
        return by_segment[EVERYBODY], by_segment
    return _adoption(record, own, seen), by_segment


def _adoption(
    record: RecommendationRecord, places: Sequence[str], seen: Sequence[tuple[date, Weighting]]
) -> Adoption:
    """Compare the weights in use at later moments, oldest first, with the recommended ones."""
    asked = sum(_apart(record.recommended[each], record.today[each])[0] for each in places)
    if asked == 0:
        return Adoption("nothing to adopt", None, None, still=True)
    shares, whole = [], []
    for _, weights in seen:
        apart = [_apart(record.recommended[each], _of(weights, each)) for each in places]
        whole.append(max(furthest for _, furthest in apart) <= WITHIN)
        left = sum(total for total, _ in apart)
        # Thousandths are finer than anybody reads, and coarser than rounding on the way.
        shares.append(1.0 if whole[-1] else max(round(1 - left / asked, 3), 0.0))
    if any(whole):
        return Adoption("adopted", 1.0, seen[whole.index(True)][0], whole[-1])
    best = max(shares)
    if best == 0:
        return Adoption("not adopted", 0.0, None, still=True)
    return Adoption("partly adopted", best, seen[shares.index(best)][0], shares[-1] == best)


def _of(weights: Weighting, place: str) -> Mapping[str, float]:
    return weights.get(place, weights[EVERYBODY])


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[float, float]:
    """How many points lie between two sets of weights, in all and at most."""
    apart = [abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in one.keys() | other.keys()]
    return sum(apart), max(apart, default=0.0)


def _is_single(record: RecommendationRecord, seen: Sequence[tuple[date, Weighting]]) -> bool:
    """Whether every segment was weighed alike, then and ever since."""
    return all(
        _apart(row, weights[EVERYBODY])[1] == 0
        for weights in (record.today, *(weights for _, weights in seen))
        for row in weights.values()
    )
