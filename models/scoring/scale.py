"""From the probability of an outcome to a 0-100 score, its bands and its points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from features.errors import SettingsError
from models.arrays import Codes, Floats
from models.churn.coded import Rows
from models.scoring.timing.anchors import term_anchors
from models.scoring.timing.decisions import KINDS, Decisions

Band = Literal["at-risk", "watch", "healthy", "likely", "possible", "unlikely"]
BANDS: tuple[Band, ...] = ("at-risk", "watch", "healthy")
GOOD_BANDS: tuple[Band, ...] = ("likely", "possible", "unlikely")
"""From the highest probability to the lowest, of a bad outcome and of a good one."""

# Ten points halve the odds of churn.
POINTS_PER_LOG_ODDS = float(10 / np.log(2))
OF_TERM = "anchor_of_"


@dataclass(frozen=True)
class ScaleSettings:
    """The probabilities that fix the scale; None where the matured base rate should decide.

    Parameters
    ----------
    anchor_probability : float or None
        Probability that scores 50. Freeze it once the first champion is in use.
    at_risk_from, watch_from : float or None
        Probability from which an account is in the first or the second band. By default twice, and
        nine tenths of, the anchor's odds.
    good : bool
        Whether the outcome is good news.
    term_anchors : tuple of float
        As :class:`ScoreScale` has them.
    """

    anchor_probability: float | None = None
    at_risk_from: float | None = None
    watch_from: float | None = None
    good: bool = False
    term_anchors: tuple[float, ...] = ()

    def scale(self, base_rate: float) -> ScoreScale:
        """Fill what was left open from the base rate of the outcome.

        Examples
        --------
        >>> scale = ScaleSettings(watch_from=0.03).scale(0.04)
        >>> scale.anchor_probability, round(scale.at_risk_from, 4), scale.watch_from
        (0.04, 0.0769, 0.03)
        """
        anchor = base_rate if self.anchor_probability is None else self.anchor_probability
        at_risk, watch = self.at_risk_from, self.watch_from
        # A default gives way to the cut the user did set.
        if at_risk is None:
            at_risk = max(_times_odds(anchor, 2.0), watch or 0.0)
        if watch is None:
            watch = min(_times_odds(anchor, 0.9), at_risk)
        return ScoreScale(anchor, at_risk, watch, self.good, self.term_anchors)


@dataclass(frozen=True)
class ScoreScale:
    """Map of calibrated log-odds of an outcome to the score.

    ``score = clip(50 + 10 log2(anchor odds / odds), 0, 100)``: the points-to-double-the-odds scale
    of credit scorecards (Siddiqi 2006, "Credit Risk Scorecards", chapter 6). Of a good outcome the
    score rises with the odds: ``clip(50 + 10 log2(odds / anchor odds), 0, 100)``. A high score and
    a positive point are good news either way.

    Parameters
    ----------
    anchor_probability : float
        Probability that scores 50.
    at_risk_from, watch_from : float
        Probability from which an account is at-risk or on watch; of a good outcome, from which it
        is likely or possible. People read and write them by those names.
    good : bool
        Whether the outcome is good news.
    term_anchors : tuple of float
        Probability that scores 50 at decisions about terms of each of
        :data:`~models.scoring.timing.decisions.KINDS`, in whose odds the cuts are multiplied too;
        empty where it is the same of all.

    Raises
    ------
    SettingsError
        When a probability is outside (0, 1), or the second band starts above the first.

    Examples
    --------
    >>> scale = ScoreScale(anchor_probability=0.2, at_risk_from=0.3, watch_from=0.18)
    >>> scale.score(np.log([0.125, 0.25, 0.5])).round(6)
    array([60., 50., 40.])
    >>> scale.band(np.array([0.3, 0.2, 0.1])).tolist()
    ['at-risk', 'watch', 'healthy']
    >>> growth = ScoreScale(0.2, at_risk_from=0.3, watch_from=0.18, good=True)
    >>> growth.score(np.log([0.125, 0.25, 0.5])).round(6)
    array([40., 50., 60.])
    >>> growth.band(np.array([0.3, 0.2, 0.1])).tolist()
    ['likely', 'possible', 'unlikely']
    """

    anchor_probability: float
    at_risk_from: float
    watch_from: float
    good: bool = False
    term_anchors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        first, second = self.cut_names
        cuts = ("anchor_probability", "at_risk_from", "watch_from")
        for name, shown in zip(cuts, ("anchor_probability", first, second), strict=True):
            probability = getattr(self, name)
            if not 0 < probability < 1:
                raise SettingsError(
                    f"{shown} must be a probability strictly between 0 and 1, but is "
                    f"{probability}; set it to a rate such as 0.05."
                )
        for name, probability in zip(KINDS, self.term_anchors, strict=bool(self.term_anchors)):
            if not 0 < probability < 1:
                raise SettingsError(
                    f"term_anchors must be probabilities strictly between 0 and 1, but that of"
                    f" {name} is {probability}; set it to a rate such as 0.1."
                )
        if self.watch_from > self.at_risk_from:
            raise SettingsError(
                f"{second} must not be above {first}, but {self.watch_from:g} is above "
                f"{self.at_risk_from:g}; lower {second}."
            )

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands, from the highest probability to the lowest."""
        return GOOD_BANDS if self.good else BANDS

    @property
    def cut_names(self) -> tuple[str, str]:
        """What people call the two cuts."""
        return ("likely_from", "possible_from") if self.good else ("at_risk_from", "watch_from")

    def shift(self, kinds: Codes) -> Floats:
        """Log-odds by which decisions about such terms are usually riskier than the anchor: (n,).

        They are taken off the log-odds at a decision before the score is read from them.
        """
        if not self.term_anchors:
            return np.zeros(len(kinds))
        usual = np.asarray(logit(self.term_anchors)) - float(logit(self.anchor_probability))
        return usual[kinds]

    @property
    def points_per_log_odds(self) -> float:
        """What the score gains with each unit of log-odds; below zero for a bad outcome."""
        return POINTS_PER_LOG_ODDS if self.good else -POINTS_PER_LOG_ODDS

    def unclipped(self, log_odds: Floats) -> Floats:
        """Score before it is cut to 0-100; it is linear in the log-odds."""
        return 50 + self.points_per_log_odds * (log_odds - float(logit(self.anchor_probability)))

    def score(self, log_odds: Floats) -> Floats:
        """Score of calibrated log-odds of the outcome."""
        return np.clip(self.unclipped(log_odds), 0, 100)

    def band(self, probability: Floats) -> NDArray[np.str_]:
        """Band of calibrated probabilities, as an array of str."""
        return np.array(self.bands, dtype=np.str_)[self.band_position(probability)]

    def band_position(self, probability: Floats) -> NDArray[np.intp]:
        """Position of each probability's band in :attr:`bands`."""
        return 2 - np.digitize(probability, [self.watch_from, self.at_risk_from])

    @property
    def limits(self) -> tuple[float, float]:
        """Scores up to which an account is in the first and the second band.

        Of a good outcome, scores from which it is.
        """
        first, second = self.unclipped(np.asarray(logit([self.at_risk_from, self.watch_from])))
        return float(first), float(second)

    def position_of(self, score: Floats) -> NDArray[np.intp]:
        """Position in :attr:`bands` of the band that each score lies in."""
        sign = -1.0 if self.good else 1.0
        first, second = (sign * np.clip(limit, 0, 100) for limit in self.limits)
        return np.digitize(sign * score, [first, second], right=True)

    def to_dict(self) -> dict[str, float]:
        """Return a JSON-ready description, in the words of the outcome's direction."""
        first, second = self.cut_names
        return {
            "anchor_probability": self.anchor_probability,
            first: self.at_risk_from,
            second: self.watch_from,
            **({"good": True} if self.good else {}),
            **{f"{OF_TERM}{name}": rate for name, rate in self.anchors_by_name.items()},
        }

    @property
    def anchors_by_name(self) -> dict[str, float]:
        """Probability of score 50 by the name of the kind of term."""
        return dict(zip(KINDS, self.term_anchors, strict=bool(self.term_anchors)))

    @classmethod
    def from_dict(cls, described: Mapping[str, float]) -> ScoreScale:
        """Rebuild a scale from :meth:`to_dict`."""
        names = {"likely_from": "at_risk_from", "possible_from": "watch_from"}
        given = {names.get(name, name): value for name, value in described.items()}
        good = bool(given.pop("good", False))
        anchors = [given.pop(f"{OF_TERM}{name}", None) for name in KINDS]
        known = tuple(rate for rate in anchors if rate is not None)
        return cls(**given, good=good, term_anchors=known)


def scale_of(scale: ScaleSettings | None, frame: Rows, decisions: Decisions | None) -> ScoreScale:
    """Fill what fixes a score from the rows that were due, where it is left open.

    Parameters
    ----------
    scale : ScaleSettings or None
        What is set; None leaves all to the rows.
    frame : DataFrame of n rows
        Contract terms and ``happened`` of rows that were due.
    decisions : Decisions or None
        As for :func:`term_anchors`; None where every row is due.
    """
    rate = float(frame["happened"].mean())
    if decisions is None:
        return replace(scale or ScaleSettings(), term_anchors=()).scale(rate)
    if scale is not None:
        return scale.scale(rate)
    anchors, usual = term_anchors(decisions, frame)
    return ScaleSettings(term_anchors=anchors).scale(usual)


@dataclass(frozen=True)
class ScoreMove:
    """Where the margin has moved the score of each row.

    Attributes
    ----------
    factor : ndarray of shape (n,)
        Points of one unit of contribution: ``baseline + factor * moved == score``.
    baseline : ndarray of shape (n,)
        Score of the mean margin of the row's segment.
    score : ndarray of shape (n,)
        Health score.
    log_odds : ndarray of shape (n,)
        Calibrated log-odds of the outcome that the score was made of.
    """

    factor: Floats
    baseline: Floats
    score: Floats
    log_odds: Floats


@dataclass(frozen=True)
class PointTable:
    """Scores and what they are made of; ``baseline + points.sum(axis=1) == score``.

    Attributes
    ----------
    points : ndarray of shape (n, n_signals)
        Points of each signal.
    baseline, score, log_odds : ndarray of shape (n,)
        As in :class:`ScoreMove`.
    """

    points: Floats
    baseline: Floats
    score: Floats
    log_odds: Floats


def score_move(
    moved: Floats, baseline_log_odds: Floats, slope: Floats, scale: ScoreScale
) -> ScoreMove:
    """Work out each row's score and what a unit of contribution is worth in points.

    With S the map from margin to score, ``points_i = phi_i (S(z) - S(z_s)) / (z - z_s)``: one
    factor per row, so the sum is exact and every sign survives, the clip included. Up to the clip
    S is a line in the margin, hence the factor is that line's slope times the part of the way
    from ``z_s`` to ``z`` that lies inside 0-100. Written so, nothing cancels when z is near z_s.

    Parameters
    ----------
    moved : ndarray of shape (n,)
        ``z - z_s``: how far the margin is from the segment's mean margin.
    baseline_log_odds : ndarray of shape (n,)
        Calibrated log-odds of the segment's mean margin ``z_s``.
    slope : ndarray of shape (n,)
        Calibrated log-odds per unit of margin, above zero.
    scale : ScoreScale
        From log-odds to score.

    Returns
    -------
    ScoreMove
    """
    factor = scale.points_per_log_odds * slope
    start = scale.unclipped(baseline_log_odds)
    end = start + factor * moved
    baseline, score = np.clip(start, 0, 100), np.clip(end, 0, 100)
    unmoved = end == start
    inside = np.where(
        unmoved,
        # The limit: S'(z_s), which is zero where the baseline itself is cut off.
        (start > 0) & (start < 100),
        (score - baseline) / np.where(unmoved, 1.0, end - start),
    )
    return ScoreMove(factor * inside, baseline, score, baseline_log_odds + slope * moved)


def points(
    contributions: Floats,
    baseline_log_odds: Floats,
    slope: Floats,
    scale: ScoreScale,
) -> PointTable:
    """Split each score into points that sum to it exactly: see :func:`score_move`.

    Parameters
    ----------
    contributions : ndarray of shape (n, n_signals)
        SHAP values of the margin, recentred: they sum to ``z - z_s``.
    baseline_log_odds, slope, scale
        As for :func:`score_move`.

    Returns
    -------
    PointTable

    Examples
    --------
    >>> scale = ScoreScale(anchor_probability=0.2, at_risk_from=0.3, watch_from=0.18)
    >>> table = points(np.log([[4.0, 0.5]]), np.log([0.25]), np.array([1.0]), scale)
    >>> table.points.round(6), table.baseline.round(6), table.score.round(6)
    (array([[-20.,  10.]]), array([50.]), array([40.]))
    """
    move = score_move(contributions.sum(axis=1), baseline_log_odds, slope, scale)
    return PointTable(
        points=contributions * move.factor[:, None],
        baseline=move.baseline,
        score=move.score,
        log_odds=move.log_odds,
    )


def _times_odds(probability: float, factor: float) -> float:
    return float(expit(logit(probability) + np.log(factor)))
