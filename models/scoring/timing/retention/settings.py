"""The ``[forecast]`` section: when a fiscal year begins, and how far is looked ahead."""

from __future__ import annotations

from pydantic import Field

from features.tables.mapping.mapping import Frozen


class ForecastSettings(Frozen):
    """The ``[forecast]`` section: the quarters of the retention forecast.

    Parameters
    ----------
    fiscal_year_start : int
        Month in which the fiscal year begins, from 1 for January. A fiscal year has the name of the
        calendar year in which it ends.
    quarters : int
        Whole fiscal quarters to look ahead.
    """

    fiscal_year_start: int = Field(1, ge=1, le=12)
    quarters: int = Field(4, ge=1, le=8)
