"""The drift policy: when drift is worth a word, and when it calls for retraining."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from features.tables.mapping import Frozen


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
