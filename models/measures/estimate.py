"""A value with its 90 % interval, and what the interval says."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Self

from features.json_values import Json, Spread

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from models.arrays import Floats


@dataclass(frozen=True)
class Estimate(Spread):
    """A value with its 90 % interval; None where it, or how sure it is, is not known.

    In JSON and in tables it is three entries: ``auc``, ``auc_low`` and ``auc_high``.

    Examples
    --------
    >>> auc = Estimate(0.81, 0.78, 0.84)
    >>> auc.spread("auc")
    {'auc': 0.81, 'auc_low': 0.78, 'auc_high': 0.84}
    >>> auc.is_above(0.5), auc.excludes(0.8), auc == Estimate.read(auc.spread("auc"), "auc")
    (True, False, True)
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def read(
        cls, entries: Mapping[str, float | None] | Mapping[Hashable, float], name: str
    ) -> Self:
        """Take it from what :meth:`spread` wrote; what is absent, or NaN, is not known."""
        found = (entries.get(f"{name}{end}") for end in ("", "_low", "_high"))
        return cls(*(None if number is None or number != number else number for number in found))

    @classmethod
    def of(cls, value: float, ends: Sequence[float] | Floats) -> Self:
        """Take numbers, of which NaN is not known."""
        return cls(*(None if isnan(number) else float(number) for number in (value, *ends)))

    def times(self, factor: float) -> Self:
        """Scale it by a number that is not below zero."""
        numbers = (self.value, self.low, self.high)
        return type(self)(*(None if number is None else factor * number for number in numbers))

    def spread(self, name: str) -> Json:
        """Return the three entries under a name."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def is_above(self, bound: float) -> bool:
        """Whether the whole interval lies above a value; False where it is not known."""
        return self.low is not None and self.low > bound

    def is_below(self, bound: float) -> bool:
        """Whether the whole interval lies below a value; False where it is not known."""
        return self.high is not None and self.high < bound

    def excludes(self, bound: float) -> bool:
        """Whether a value lies outside the interval."""
        return self.is_above(bound) or self.is_below(bound)


UNKNOWN = Estimate()
