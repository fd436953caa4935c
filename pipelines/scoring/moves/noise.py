"""Words about whether a change of a score is more than noise."""

from __future__ import annotations

MINUS = "\N{MINUS SIGN}"


def verdict(low: float, high: float) -> str:
    """Say what of a change lasts, from the 90 % interval of that.

    Examples
    --------
    >>> verdict(-18.2, -6.4)
    'More than noise: −18 to −6 points of it last'
    >>> verdict(-3.0, 9.1)
    'It may be noise: −3 to +9 points of it last'
    """
    said = "More than noise" if low * high > 0 else "It may be noise"
    ends = [f"{end:+.0f}".replace("-", MINUS) for end in (low, high)]
    return f"{said}: {ends[0]} to {ends[1]} points of it last"
