"""The ``[reading]`` section: what a value means where the values themselves leave it open."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from features.tables.mapping.frozen import Frozen


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
    """

    dates: Literal["day-first", "month-first"] | None = None
    century: int | None = Field(None, ge=1900, le=2100, multiple_of=100)
    decimal: Literal[".", ","] | None = None
    numbers_as_times: Literal["unix", "excel"] | None = None
    last_day: Literal["included", "excluded"] | None = None
