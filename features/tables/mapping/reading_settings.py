"""The ``[reading]`` section: what a value means where the values themselves leave it open."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from features.tables.mapping.frozen import Frozen

Code = Annotated[str, Field(pattern="^[A-Za-z]{3}$")]
MAY_BE_LOST = 0.05
"""Of a column no more than this share may be unreadable, unless a configuration says otherwise."""
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RatesSettings(Frozen):
    """The ``[rates]`` section: what amounts are converted to, and at which rates.

    Parameters
    ----------
    currency : str
        Three letters: the one currency of all amounts.
    source : str or None
        A table of rates (in TOML: ``from``): the worth of one unit of a currency on a date.
    date, code, rate : str
        Its columns.
    days : int
        A rate holds until the next one, and for this many days at most.
    fixed : dict of str to float
        Rates that are the same on every date.
    """

    currency: Code
    source: Annotated[str | None, Field(alias="from")] = None
    date: str = "date"
    code: str = "currency"
    rate: str = "rate"
    days: Annotated[int, Field(ge=1)] = 31
    fixed: dict[Code, Rate] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_rates(self) -> Self:
        if self.source is None and not self.fixed:
            raise ValueError(
                "[rates] needs a table of rates, from, or fixed rates, and names neither; add one"
            )
        return self


class ReadingSettings(Frozen):
    """The ``[reading]`` section.

    Parameters
    ----------
    dates : {"day-first", "month-first"} or None
        What 1/2/2024 means; by default what the other values of the column, then those of the other
        tables, show, and where none does the column is refused.
    century : int or None
        The century of years written with two digits, such as 2000; by default they are refused.
    decimal : {".", ","} or None
        What parts the whole from its fraction in numbers written as text; by default what the
        values show.
    numbers_as_times : {"unix", "excel"} or None
        Where a time is a number: since 1970, in seconds or finer, told by its size; or the serial
        day of a spreadsheet. By default such a column is refused.
    last_day : {"included", "excluded"} or None
        Whether a contract with an end of a whole day still runs on that day; by default what
        contracts that follow one another show.
    may_be_lost : float
        The share of a column's values that may be unreadable and count as missing; of more the
        column is refused.
    rates : RatesSettings or None
        At which amounts of several currencies become amounts of one; the section ``[rates]``.
    """

    dates: Literal["day-first", "month-first"] | None = None
    century: int | None = Field(None, ge=1900, le=2100, multiple_of=100)
    decimal: Literal[".", ","] | None = None
    numbers_as_times: Literal["unix", "excel"] | None = None
    last_day: Literal["included", "excluded"] | None = None
    may_be_lost: float = Field(MAY_BE_LOST, ge=0, le=0.5)
    rates: RatesSettings | None = None
