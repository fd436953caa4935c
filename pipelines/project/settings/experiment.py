"""The sections ``[experiments.NAME]``: who is left alone by chance, so that a play is proven."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from features.tables.mapping.mapping import Frozen

NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"


class ExperimentSettings(Frozen):
    """One section ``[experiments.NAME]``.

    Parameters
    ----------
    play : str
        What is done about the accounts that are not left alone, as the table interventions calls
        it.
    share : float
        Share of the accounts that is left alone.
    bands : tuple of {"at-risk", "watch", "healthy"}
        Accounts of these bands take part.
    segments : tuple of str
        Accounts of these segments alone; of all where empty.
    exclude : tuple of str
        Accounts that are never left alone and take no part.
    most_arr : float or None
        Accounts that pay more in a year take no part.
    smallest_change : float
        Change of the share that churns which is worth finding: 0.05 is 5 of 100.
    """

    play: str = Field(min_length=1)
    share: float = Field(0.2, ge=0.05, le=0.5)
    bands: tuple[Literal["at-risk", "watch", "healthy"], ...] = Field(("at-risk",), min_length=1)
    segments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    most_arr: float | None = Field(None, gt=0)
    smallest_change: float = Field(0.05, gt=0, lt=1)
