"""What is told of a play: its effect per segment, a placebo, and what would have to be unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.json_values import JsonReady

Verdict = Literal["helps", "harms", "not enough evidence", "no comparison"]


@dataclass(frozen=True)
class Placebo(JsonReady):
    """Effect on the risk one observation date earlier, which a play cannot have.

    Attributes
    ----------
    effect, low, high : float
        Difference in the earlier probability and its 90 % interval.
    passes : bool
        Whether it is nothing, or small beside the noise of the effect itself.
    """

    effect: float
    low: float
    high: float
    passes: bool


@dataclass(frozen=True)
class PlayEffect(JsonReady):
    """What a play does in a segment, or in all of them.

    Attributes
    ----------
    play, segment : str
        Which; "all" for all segments.
    treated, churned : int
        Rows acted on with like rows left alone, and those that churned.
    controls : float
        How many rows those left alone are worth as a comparison.
    overlap : float
        Share of the rows acted on that have like rows.
    with_play, without : float
        Rate of those acted on, and what it had been.
    naive : float
        Difference of the plain rates, for comparison.
    raw, raw_low, raw_high : float
        Effect of the rows at hand alone, as a difference in the rate, and its 90 % interval.
    effect, low, high : float
        The same drawn toward the other segments and plays.
    log_ratio, log_ratio_low, log_ratio_high : float
        The same as the logarithm of the ratio of rates.
    unseen_reason, unseen_reason_for_certainty : float
        How many times likelier an unseen reason would have to make both the play and churn to
        explain the effect, or what is certain of it, away.
    more_needed : int or None
        How many more accounts acted on would settle it; 0 where an effect of a fifth of the churn
        would have shown by now; None where it is settled, or only an experiment can settle it.
    verdict : Verdict
        What can be said.
    """

    play: str
    segment: str
    treated: int
    churned: int
    controls: float
    overlap: float
    with_play: float
    without: float
    naive: float
    raw: float
    raw_low: float
    raw_high: float
    effect: float
    low: float
    high: float
    log_ratio: float
    log_ratio_low: float
    log_ratio_high: float
    unseen_reason: float
    unseen_reason_for_certainty: float
    more_needed: int | None
    verdict: Verdict


@dataclass(frozen=True)
class PlayResult(JsonReady):
    """One play: in all segments, in each, and what speaks against it.

    Attributes
    ----------
    play : str
        Its name.
    acted : int
        Rows on which it, and no other play, was made in time.
    with_others : int
        Rows on which another play was made too; they are left out.
    everywhere : PlayEffect or None
        In all segments together; None where nothing can be compared.
    segments : tuple of PlayEffect
        Those with enough rows, by name.
    placebo : Placebo or None
        None where no account has an earlier date.
    why_not : str
        Why nothing can be compared, or "".
    """

    play: str
    acted: int
    with_others: int
    everywhere: PlayEffect | None
    segments: tuple[PlayEffect, ...]
    placebo: Placebo | None
    why_not: str = ""
