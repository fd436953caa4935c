"""What to do about drift: a pure function of what was found and of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from features.catalog import EVERYBODY
from features.errors import sample
from features.json_values import JsonReady
from models.drift.feed_faults import Fault
from models.drift.performance import ExpectedChange, Matured
from models.drift.policy import DriftPolicy
from models.drift.statistics import Drift, DriftStatistics

Status = Literal["ok", "watch", "retrain", "broken-feed"]
Place = tuple[str, str]
"""A signal, or "score" or "segment", and the segment it is looked at in."""
MOST_REASONS = 6
# What lasts may be as much smaller, and as much less weighty, to call for retraining.
LASTING = 0.5


@dataclass(frozen=True)
class Decision(JsonReady):
    """What was decided, and why.

    Attributes
    ----------
    status : {"ok", "watch", "retrain", "broken-feed"}
        What to do.
    reasons : tuple of str
        Sentences, the weightiest first; never empty.
    drifted_weight : dict of str to float
        Per segment, or "all", the share of the weight that rests on drifted signals, 0 to 1.
    faults : tuple of Fault
        What to repair first.
    """

    status: Status
    reasons: tuple[str, ...]
    drifted_weight: dict[str, float]
    faults: tuple[Fault, ...] = ()


def decide(
    statistics: DriftStatistics,
    faults: Sequence[Fault],
    policy: DriftPolicy,
    *,
    trained_on: date,
    matured: Sequence[Matured] = (),
    expected: ExpectedChange | None = None,
    since: Mapping[tuple[str, str], date] | None = None,
) -> Decision:
    """Decide what to do.

    A broken feed comes first, and nothing is learnt from it. Then age, matured outcomes, and drift
    of signals that carry weight call for retraining, unless the last training is too recent.
    Drift is large and sure at once, or sure, smaller and lasting: noticed at every check for weeks.
    What is sure but not large, or large but not weighty, is to be watched.

    Parameters
    ----------
    statistics : DriftStatistics
        What moved.
    faults : sequence of Fault
        Faults of the feeds.
    policy : DriftPolicy
        When to speak.
    trained_on : date
        Day the champion was trained.
    matured : sequence of Matured
        Outcomes since then.
    expected : ExpectedChange or None
        What the probabilities promise before outcomes mature.
    since : mapping of (str, str) to date or None
        By name and segment, the first date of the unbroken run of checks, this one included, in
        which it was :func:`noticed`. Without it nothing is known to last.

    Returns
    -------
    Decision
    """
    lasting = _lasting(statistics, since or {}, policy)
    weight = _drifted_weight(statistics.signals, lasting, policy)
    if faults:
        reasons = tuple(fault.sentence for fault in faults)
        blocked = "Nothing is retrained until the feeds are repaired."
        return Decision("broken-feed", (*reasons, blocked), weight, tuple(faults))
    age = (statistics.as_of - trained_on).days
    if age < 0:
        clock = (
            f"The champion was trained on {trained_on}, after {statistics.as_of}: nothing was "
            "decided; check the date and the machine's clock."
        )
        return Decision("watch", (clock,), weight)
    pressing = (
        _old(age, policy) + _miscalibrated(matured, policy) + _weighty(statistics, lasting, policy)
    )
    watched = _noticed(noticed(statistics, policy)) + _harder(expected, policy)
    if pressing and age < policy.cool_down_days:
        wait = (
            f"The champion is {age} days old: retraining waits until it is "
            f"{policy.cool_down_days} days old."
        )
        return Decision("watch", (wait, *pressing), weight)
    if pressing:
        return Decision("retrain", tuple(pressing), weight)
    if watched:
        return Decision("watch", tuple(watched), weight)
    return Decision("ok", ("Nothing moved further than chance and season move it.",), weight)


def _old(age: int, policy: DriftPolicy) -> list[str]:
    if age < policy.maximum_age_days:
        return []
    return [
        f"The champion is {age} days old, and the policy retrains it at {policy.maximum_age_days}."
    ]


def _miscalibrated(matured: Sequence[Matured], policy: DriftPolicy) -> list[str]:
    found = []
    for one in matured:
        if one.positives < policy.min_matured_outcomes:
            continue
        where = "" if one.segment == EVERYBODY else f" in {_quoted(one.segment)}"
        line = one.recalibration
        if _sure(one.offset_p, policy) and abs(line.offset.value or 0.0) >= policy.rate_change:
            found.append(
                f"Outcomes differ from what was expected{where}: {one.observed_rate:.1%} happened "
                f"({one.low:.1%} to {one.high:.1%}), {one.expected_rate:.1%} were expected."
            )
        slope = 1.0 if line.slope.value is None else line.slope.value
        far = abs(slope - 1) >= policy.slope_change
        if _sure(min(one.slope_p, one.loss_p), policy) and far:
            how = "too bold" if slope < 1 else "too timid"
            found.append(
                f"The signals predict outcomes otherwise than they did{where}: the probabilities "
                f"are {how} (calibration slope {slope:.2f} instead of 1)."
            )
    return found


def _weighty(statistics: DriftStatistics, lasting: set[Place], policy: DriftPolicy) -> list[str]:
    found = []
    for drift in statistics.score:
        if _counts(drift, lasting, policy):
            where = "" if drift.segment == EVERYBODY else f" in {_quoted(drift.segment)}"
            shift = drift.movement.shift or 0.0
            way = "lower" if shift < 0 else "higher"
            since = "" if _heavy(drift, policy) else f", for {policy.lasting_days} days or more"
            found.append(
                f"Scores{where} are {way} than those the champion learnt from "
                f"(stability index {drift.movement.psi:.2f}{since})."
            )
    weights = _drifted_weight(statistics.signals, lasting, policy)
    for segment in sorted(weights, key=lambda name: (name != EVERYBODY, -weights[name])):
        there = [drift for drift in statistics.signals if drift.segment == segment]
        moved = [drift for drift in there if _counts(drift, lasting, policy)]
        long = sum(drift.weight for drift in moved if (drift.name, segment) in lasting)
        if max(weights[segment], long / LASTING) < policy.retrain_weight:
            continue
        where = "of all accounts" if segment == EVERYBODY else f"in {_quoted(segment)}"
        how = f" or for {policy.lasting_days} days or more" if long else ""
        found.append(
            f"{weights[segment]:.0%} of the weight {where} rests on signals that moved far{how}: "
            f"{sample([drift.name for drift in moved])}."
        )
    return found[:MOST_REASONS]


def _lasting(
    statistics: DriftStatistics, since: Mapping[Place, date], policy: DriftPolicy
) -> set[Place]:
    """Find what was noticed at every check for some weeks and is sure now.

    The same accounts come back, so that chance lasts too: many looks at it are not much evidence.
    """
    until = statistics.as_of - timedelta(days=policy.lasting_days)
    places = {
        (drift.name, drift.segment)
        for drift in noticed(statistics, policy)
        if _sure(drift.adjusted, policy) and drift.excess >= LASTING * policy.retrain_excess
    }
    return {place for place in places if since.get(place, statistics.as_of) <= until}


def noticed(statistics: DriftStatistics, policy: DriftPolicy) -> list[Drift]:
    """List what moved surely and far enough to be watched: the mix, the score, then signals."""
    everything = [*statistics.score, *statistics.signals]
    if statistics.mix is not None:
        everything.insert(0, statistics.mix)
    return [
        drift
        for drift in everything
        if drift.adjusted < policy.watch_chance
        and drift.excess >= policy.watch_excess
        and drift.weight >= policy.watch_weight
    ]


def _noticed(found: Sequence[Drift]) -> list[str]:
    said = [_sentence(drift) for drift in found[:MOST_REASONS]]
    if len(found) > MOST_REASONS:
        said.append(f"{len(found) - MOST_REASONS} more signals or segments moved.")
    return said


def _sentence(drift: Drift) -> str:
    """Say what moved, by which test saw it best."""
    moved = drift.movement
    where = "" if drift.segment == EVERYBODY else f" in {_quoted(drift.segment)}"
    weight = f"it carries {drift.weight:.1%} of the weight"
    if drift.name == "segment":
        return "The mix of segments is not the one the champion learnt from."
    if drift.name == "score":
        what, weight = f"The score{where}", f"stability index {moved.psi:.2f}"
    else:
        what = f"Signal '{drift.name}'{where}"
    if moved.found_by == "missing":
        formerly = f"formerly {moved.missing_before:.0%}"
        change = f"is missing for {moved.missing:.0%} of accounts, {formerly}"
    elif moved.found_by == "new names":
        change = f"has a name never seen before for {moved.other or 0.0:.0%} of accounts"
    elif moved.found_by == "shift":
        change = "is higher than before" if (moved.shift or 0.0) > 0 else "is lower than before"
    else:
        change = "is spread otherwise than before"
    return f"{what} {change} ({weight})."


def _harder(expected: ExpectedChange | None, policy: DriftPolicy) -> list[str]:
    """Say when the probabilities themselves promise a worse ranking than they used to."""
    if expected is None or expected.auc_low is None or expected.auc_high is None:
        return []
    now, usual = expected.now.auc or 0.5, (expected.auc_low + expected.auc_high) / 2
    if not _sure(expected.auc_p, policy) or usual - now < policy.auc_fall:
        return []
    return [
        f"Accounts are harder to tell apart: an AUC of {now:.2f} is to be expected, formerly "
        f"{expected.auc_low:.2f} to {expected.auc_high:.2f}."
    ]


def _drifted_weight(
    drifts: Sequence[Drift], lasting: set[Place], policy: DriftPolicy
) -> dict[str, float]:
    weights: dict[str, float] = {}
    for drift in drifts:
        share = drift.weight if _counts(drift, lasting, policy) else 0.0
        weights[drift.segment] = weights.get(drift.segment, 0.0) + share
    return {segment: round(share, 6) for segment, share in sorted(weights.items())}


def _counts(drift: Drift, lasting: set[Place], policy: DriftPolicy) -> bool:
    return _heavy(drift, policy) or (drift.name, drift.segment) in lasting


def _heavy(drift: Drift, policy: DriftPolicy) -> bool:
    return _sure(drift.adjusted, policy) and drift.excess >= policy.retrain_excess


def _sure(adjusted: float, policy: DriftPolicy) -> bool:
    return adjusted < policy.retrain_chance


def _quoted(segment: str) -> str:
    return sample([segment])
