"""The ``[retraining]`` section: what a challenger has to show before it becomes the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from features.tables.mapping.mapping import Frozen

if TYPE_CHECKING:
    from models.registry.gate import PromotionRules


class RetrainingSettings(Frozen):
    """The ``[retraining]`` section; :class:`models.registry.gate.PromotionRules` says what for.

    Parameters
    ----------
    judged_dates : int
        How many of the newest matured observation dates judge champion and challenger; the
        challenger is judged as it was before it learnt from them. More dates judge more surely and
        leave the challenger fewer to learn from.
    min_outcomes : int
        Fewer outcomes on those dates promote nobody.
    tolerance : float
        How much worse the challenger could be by chance, as a share of the champion's log loss.
    segment_rows, segment_outcomes : int
        From how many rows and outcomes on those dates a segment is judged by itself.
    segment_tolerance : float
        As ``tolerance``, in one segment.
    calibration_tolerance : float
        How much further off than the champion's its calibration may be.
    """

    judged_dates: int = Field(3, ge=1)
    min_outcomes: int = Field(50, ge=10)
    tolerance: float = Field(0.005, ge=0, le=0.1)
    segment_rows: int = Field(300, ge=1)
    segment_outcomes: int = Field(50, ge=10)
    segment_tolerance: float = Field(0.05, ge=0, le=0.5)
    calibration_tolerance: float = Field(0.1, ge=0, le=1)

    @property
    def rules(self) -> PromotionRules:
        """The rules of the gate."""
        from models.registry.gate import PromotionRules

        return PromotionRules(**self.model_dump(exclude={"judged_dates"}))
