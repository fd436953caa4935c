"""What each play does to churn, per segment, with everything that speaks against believing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from features.catalog import EVERYBODY
from models.arrays import Codes, Floats
from models.measures.resampling import REACH, TAILS
from models.plays.doubly_robust import Comparison, compare, mean_difference
from models.plays.like_accounts import LikeAccounts, value_before
from models.plays.result import Placebo, PlayEffect, PlayResult, Verdict
from models.plays.sensitivity import unseen_reason, unseen_reason_for_certainty
from models.plays.shrinkage import shrunken_draws

# Fewer rows acted on, or outcomes among those left alone, teach neither chance nor risk.
LEAST_TREATED, LEAST_OUTCOMES = 30, 20
# With fewer in a segment it is told together with the others.
LEAST_IN_SEGMENT = 10
LEAST_OVERLAP = 0.5
# With less, more of the same would bring more that nothing is like.
OVERLAP_TO_SETTLE = 0.75
# Deviates of a test that finds an effect of the size at hand in 8 of 10 cases.
POWER_DEVIATE = 0.84
# A rate cannot fall by more than nearly all of it.
LEAST_CHANGE = -0.999
ALONE = np.ones(1)
# An effect of a fifth of the churn is worth knowing of; smaller ones would take for ever to settle.
WORTH_KNOWING = 0.2


@dataclass(frozen=True)
class PlayRows:
    """Rows of accounts and dates that effects are learnt from.

    Attributes
    ----------
    inputs : DataFrame of n rows
        Controls as known on the date, and the column of the segment.
    accounts : ndarray of str, shape (n,)
        Account of each row.
    days : ndarray of int, shape (n,)
        Observation date of each row as a day number.
    happened : ndarray of 0 and 1, shape (n,)
        Outcome after the days in which a team acts.
    acted : dict of str to ndarray of bool, shape (n,)
        By play, who was acted on in those days.
    """

    inputs: pd.DataFrame
    accounts: NDArray[np.object_]
    days: Codes
    happened: Floats
    acted: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class _Cell:
    """A play in a segment, compared."""

    play: str
    segment: str
    found: Comparison


def play_effects(
    rows: PlayRows, progress: Callable[[str], None] | None = None
) -> tuple[PlayResult, ...]:
    """Learn what each play does.

    The risk had nobody acted is learnt from rows on which nobody did; the chance of a play from
    those and the rows on which it alone was made, with that risk among its controls, since teams
    act on scores. Both speak of other accounts than they were taught with.

    Parameters
    ----------
    rows : PlayRows
        What is known.
    progress : callable or None
        Told what is being done, in words.

    Returns
    -------
    tuple of PlayResult
        The play made most often first.
    """
    tell = progress or (lambda stage: None)
    like = LikeAccounts.of(rows.inputs, rows.accounts)
    plays = sorted(rows.acted, key=lambda play: (-int(rows.acted[play].sum()), play))
    count = np.sum([rows.acted[play] for play in plays], axis=0)
    alone = count == 0
    refusal = _refusal(like, rows.happened[alone], "on which nobody acted")
    if refusal:
        return tuple(_refused(play, rows, count, refusal) for play in plays)
    tell("learning the risk of accounts left alone")
    risk = like.log_odds(rows.happened, alone)
    before = value_before(expit(risk), like.cluster, rows.days)
    cells: list[_Cell] = []
    whole: dict[str, Comparison | None] = {}
    placebos: dict[str, tuple[float, float]] = {}
    why_not: dict[str, str] = {}
    for play in plays:
        own = rows.acted[play] & (count == 1)
        if own.sum() < LEAST_TREATED:
            why_not[play] = f"it was made alone on {int(own.sum())} rows, and takes {LEAST_TREATED}"
            continue
        tell(f"comparing accounts with and without {play}")
        used = own | alone
        chance = expit(like.log_odds(own.astype(float), used, risk))
        arguments = (rows.happened, own, expit(risk), chance, like.cluster)
        whole[play] = compare(*(values[used] for values in arguments))
        told = like.earlier(before, used & ~own, risk)
        placebos[play] = mean_difference(
            *(values[used] for values in (before, own, told, chance, like.cluster))
        )
        cells += _cells(play, like.segment, used, arguments)
    return _told(plays, rows, count, cells, whole, placebos, why_not)


def _refusal(like: LikeAccounts, happened: Floats, where: str) -> str:
    positives = int(happened.sum())
    if min(positives, len(happened) - positives) < LEAST_OUTCOMES or len(like.folds) < 2:
        return f"{positives} of {len(happened)} rows {where} churned, and it takes {LEAST_OUTCOMES}"
    return ""


def _refused(play: str, rows: PlayRows, count: Codes, why: str) -> PlayResult:
    own = rows.acted[play]
    alone, shared = int((own & (count == 1)).sum()), int((own & (count > 1)).sum())
    return PlayResult(play, alone, shared, None, (), None, why)


def _cells(
    play: str, segment: NDArray[np.object_], used: NDArray[np.bool_], arguments: tuple[Any, ...]
) -> list[_Cell]:
    """Compare inside each segment with enough rows; the rest are one cell without a name."""
    acted = arguments[1]
    names = [
        name
        for name in sorted(set(segment[used]))
        if (acted & used & (segment == name)).sum() >= LEAST_IN_SEGMENT
    ]
    label = np.where(np.isin(segment, names), segment, "")
    cells = []
    for name in [*names, ""]:
        inside = used & (label == name)
        found = compare(*(values[inside] for values in arguments)) if inside.any() else None
        if found is not None:
            cells.append(_Cell(play, name, found))
    return cells


def _told(
    plays: Sequence[str],
    rows: PlayRows,
    count: Codes,
    cells: list[_Cell],
    whole: Mapping[str, Comparison | None],
    placebos: Mapping[str, tuple[float, float]],
    why_not: Mapping[str, str],
) -> tuple[PlayResult, ...]:
    """Shrink all cells together and put what is known of each into words' reach."""
    if not cells:
        return tuple(
            _refused(play, rows, count, why_not.get(play, "no like accounts were left alone"))
            for play in plays
        )
    estimate = np.array([cell.found.log_ratio for cell in cells])
    codes = [plays.index(cell.play) for cell in cells]
    seen, unseen = (
        _believed(cells, shrunken_draws(estimate, _noise(cells, unseen=unseen), codes), unseen)
        for unseen in (False, True)
    )
    found = []
    for play in plays:
        base = _refused(play, rows, count, why_not.get(play, ""))
        own = [place for place, cell in enumerate(cells) if cell.play == play]
        together = whole.get(play)
        if not own or together is None:
            why = base.why_not or "no like accounts were left alone"
            found.append(_refused(play, rows, count, why))
            continue
        size = np.array([cells[place].found.treated for place in own], dtype=float)
        share = size / size.sum()
        placebo = _placebo(placebos[play], together)
        is_fair = placebo is None or placebo.passes
        pooled = seen.pooled(own, share), unseen.pooled(own, share)
        everywhere = _effect(play, EVERYBODY, together, pooled, is_fair)
        segments = tuple(
            _effect(
                play,
                cells[place].segment,
                cells[place].found,
                (seen.pooled([place], ALONE), unseen.pooled([place], ALONE)),
                is_fair,
            )
            for place in own
            if cells[place].segment
        )
        found.append(PlayResult(play, base.acted, base.with_others, everywhere, segments, placebo))
    return tuple(found)


@dataclass(frozen=True)
class _Believed:
    """Draws of what is believed of every cell: (draws, cells)."""

    ratios: Floats
    without: Floats

    def pooled(self, cells: Sequence[int], share: Floats) -> tuple[Floats, Floats]:
        """Draws of the effect on some cells together, and of its logarithm."""
        without = self.without[:, cells]
        effect = (without * np.expm1(self.ratios[:, cells])) @ share
        return effect, np.log1p(np.maximum(effect / (without @ share), LEAST_CHANGE))


def _believed(cells: Sequence[_Cell], ratios: Floats, unseen: bool) -> _Believed:
    without = [
        _without(cell.found, ratios[:, place], place, cell.found.hidden if unseen else 0.0)
        for place, cell in enumerate(cells)
    ]
    return _Believed(ratios, np.column_stack(without))


def _noise(cells: Sequence[_Cell], *, unseen: bool) -> Floats:
    """Covariance of the cells' errors; what is unseen errs alike in all segments of a play."""
    chance = np.diag([cell.found.error**2 for cell in cells])
    if not unseen:
        return chance
    play = np.array([cell.play for cell in cells], dtype=object)
    hidden = np.array([cell.found.hidden for cell in cells])
    return np.asarray(chance + np.outer(hidden, hidden) * (play[:, None] == play[None, :]))


def _without(found: Comparison, ratio: Floats, seed: int, hidden: float) -> Floats:
    """Draw the rate had nobody acted that goes with each drawn ratio."""
    shared = found.shared - hidden**2
    slope = shared / (found.error**2 + hidden**2)
    rest = max(found.without_error**2 + hidden**2 - slope * shared, 0.0) ** 0.5
    noise = np.random.default_rng([seed, 1]).normal(0, 1, len(ratio)) * rest
    drawn = np.log(found.without) + slope * (ratio - found.log_ratio) + noise
    return np.asarray(np.minimum(np.exp(drawn), 1.0))


def _placebo(found: tuple[float, float], together: Comparison) -> Placebo | None:
    effect, error = found
    if not np.isfinite(effect) or not np.isfinite(error):
        return None
    low, high = effect - REACH * error, effect + REACH * error
    # What is sure but small beside the noise of the effect cannot have made the effect.
    small = abs(effect) <= together.error * together.without
    return Placebo(effect, low, high, bool(low <= 0 <= high or small))


def _effect(
    play: str,
    segment: str,
    found: Comparison,
    draws: tuple[tuple[Floats, Floats], tuple[Floats, Floats]],
    is_fair: bool,
) -> PlayEffect:
    """Describe an effect from what is believed without and with unseen reasons.

    Unseen reasons are taken to choose accounts as the recorded ones do. Where those made the play
    look worse than it is they can only hide more of its good, and the other way round: one end of
    the interval allows for them, and the other does not.
    """
    (effects, ratios), (effects_unseen, ratios_unseen) = draws
    low, high = _ends(effects, effects_unseen, found.hidden)
    ratio_low, ratio_high = _ends(ratios, ratios_unseen, found.hidden)
    effect = float(np.clip((effects.mean() + effects_unseen.mean()) / 2, low, high))
    ratio = float(np.clip((ratios.mean() + ratios_unseen.mean()) / 2, ratio_low, ratio_high))
    wider = float(np.hypot(found.error, found.hidden))
    errors = (wider, found.error) if found.hidden > 0 else (found.error, wider)
    raw_low, raw_high = (
        found.without * float(np.expm1(found.log_ratio + reach * error))
        for reach, error in zip((-REACH, REACH), errors, strict=True)
    )
    verdict: Verdict = "not enough evidence"
    if found.overlap < LEAST_OVERLAP:
        verdict = "no comparison"
    elif is_fair and max(high, raw_high) < 0:
        verdict = "helps"
    elif is_fair and min(low, raw_low) > 0:
        verdict = "harms"
    return PlayEffect(
        play=play,
        segment=segment,
        treated=found.treated,
        churned=found.churned,
        controls=found.controls,
        overlap=found.overlap,
        with_play=found.with_play,
        without=found.without,
        naive=found.naive,
        raw=found.effect,
        raw_low=raw_low,
        raw_high=raw_high,
        effect=effect,
        low=low,
        high=high,
        log_ratio=ratio,
        log_ratio_low=ratio_low,
        log_ratio_high=ratio_high,
        unseen_reason=unseen_reason(float(np.exp(ratio))),
        unseen_reason_for_certainty=unseen_reason_for_certainty(
            float(np.exp(ratio_low)), float(np.exp(ratio_high))
        ),
        more_needed=_more_needed(found, ratio) if verdict == "not enough evidence" else None,
        verdict=verdict,
    )


def _ends(seen: Floats, unseen: Floats, hidden: float) -> tuple[float, float]:
    low, high = (float(value) for value in np.quantile(seen, TAILS))
    low_unseen, high_unseen = (float(value) for value in np.quantile(unseen, TAILS))
    return (min(low, low_unseen), high) if hidden > 0 else (low, max(high, high_unseen))


def _more_needed(found: Comparison, ratio: float) -> int | None:
    """Rows acted on that would settle it, to two digits, if the effect is what it seems.

    None where no number would, as unseen reasons could still have made the effect or too many of
    those acted on have no like account; 0 where one worth knowing of would have shown by now.
    """
    if found.overlap < OVERLAP_TO_SETTLE:
        return None
    size = max(abs(ratio), -float(np.log1p(-WORTH_KNOWING)))
    left = (size / (REACH + POWER_DEVIATE)) ** 2
    if ratio * found.hidden > 0:
        left -= found.hidden**2
    if left <= 0:
        return None
    more = found.treated * (found.error**2 / left - 1)
    if more < 1:
        return 0
    digits = 10 ** max(int(np.floor(np.log10(more))) - 1, 0)
    return int(np.ceil(more / digits) * digits)
