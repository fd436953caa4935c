"""Policies: when drift is worth a word or a retraining, and what a challenger has to show."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from features.tables.mapping.mapping import Frozen


class DriftPolicy(Frozen):
    """The ``[monitor]`` section: when to speak of drift and when to retrain.

    Parameters
    ----------
    watch_chance, retrain_chance : float
        Chance of a false alarm per check, anywhere, that is accepted for each.
    watch_excess, retrain_excess : float
        Population stability index beyond chance from which a signal's drift counts.
    watch_weight : float
        Share of the champion's weight, 0 to 1, below which a signal's drift is left unsaid.
    retrain_weight : float
        Share of the weight that must rest on drifted signals, in a segment or overall.
    lasting_days : int
        Days after which a drift that every check noticed, and that is sure, is a lasting one;
        half of ``retrain_excess`` and of ``retrain_weight`` are then enough.
    rate_change, slope_change : float
        Calibration in the large in log-odds, and distance of the slope from one, from which
        matured outcomes call for retraining.
    auc_fall : float
        Fall of the expected AUC, before outcomes mature, that is worth a word.
    cool_down_days : int
        Days after a training in which there is no other.
    maximum_age_days : int
        Age of a champion at which it is retrained whatever was found.
    min_matured_outcomes : int
        Matured outcomes of the kind foretold, since training, that a verdict on calibration needs.

    Examples
    --------
    >>> DriftPolicy(cool_down_days=60).maximum_age_days
    365
    """

    watch_chance: float = Field(0.05, gt=0, lt=1)
    retrain_chance: float = Field(0.01, gt=0, lt=1)
    watch_excess: float = Field(0.02, ge=0, allow_inf_nan=False)
    retrain_excess: float = Field(0.1, ge=0, allow_inf_nan=False)
    watch_weight: float = Field(0.005, gt=0, lt=1)
    retrain_weight: float = Field(0.1, gt=0, lt=1)
    lasting_days: int = Field(28, ge=1)
    rate_change: float = Field(0.25, ge=0, allow_inf_nan=False)
    slope_change: float = Field(0.25, ge=0, allow_inf_nan=False)
    auc_fall: float = Field(0.02, ge=0, allow_inf_nan=False)
    cool_down_days: int = Field(30, ge=0)
    maximum_age_days: int = Field(365, ge=1)
    min_matured_outcomes: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maximum_age_days <= self.cool_down_days:
            raise ValueError(
                f"maximum_age_days must exceed cool_down_days, and is {self.maximum_age_days}"
                f" against {self.cool_down_days}; raise the one or lower the other"
            )
        return self


class PromotionRules(Frozen):
    """The ``[retraining]`` section: what a challenger has to show before it is the champion.

    Parameters
    ----------
    judged_dates : int
        How many of the newest matured observation dates judge champion and challenger; the
        challenger is judged as it was before it learnt from them. More dates judge more surely and
        leave the challenger fewer to learn from.
    min_outcomes : int
        Fewer judged rows of either outcome show nothing. With 100 to 120 the interval of the
        difference was measured to reach 1 to 2 % of the log loss to either side.
    tolerance : float
        By how much the upper bound of the 90 % interval of the difference in log loss, over all
        judged rows, may be above zero, as a share of the champion's. With none a challenger that
        is as good as the champion passes once in twenty times. On simulated companies half a year
        of newer rows gained 0.2 to 1.3 % and one wrong label in five cost up to 2 %: in 40 samples
        of accounts a challenger taught with such labels never passed 0.005, neither with about 120
        outcomes nor with 470, and one that was better by as much passed 38 and 40 times.
    segment_rows, segment_outcomes : int
        From how many judged rows, and rows of either outcome, a segment is judged by itself.
    segment_tolerance : float
        As ``tolerance``, in one segment, where intervals are wider: with 65 to 85 outcomes they
        were measured to reach 1 to 3 % to either side.
    calibration_tolerance : float
        By how much calibration in the large (log-odds) and the logarithm of the slope may be
        further from perfect, which is 0, than the champion's, where the challenger's interval
        excludes perfect.
    """

    judged_dates: int = Field(3, ge=1)
    min_outcomes: int = Field(50, ge=10)
    tolerance: float = Field(0.005, ge=0, le=0.1)
    segment_rows: int = Field(300, ge=1)
    segment_outcomes: int = Field(50, ge=10)
    segment_tolerance: float = Field(0.05, ge=0, le=0.5)
    calibration_tolerance: float = Field(0.1, ge=0, le=1)
