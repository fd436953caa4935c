"""Spark lines: an account's scores of some dates, small enough for a cell."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT, EDGE = 60.0, 16.0, 2.0
LEAST_SPAN = 20.0
"""Scores that hardly moved are drawn as level, not blown up to the whole height."""


def spark_line(past: Sequence[float | None] | None, score: float) -> str:
    """Place the scores of earlier dates and the one of now, as an SVG ``polyline`` takes them.

    Parameters
    ----------
    past : sequence of float or None
        Scores of earlier dates, the earliest first; None where the account had none.
    score : float
        The score of now.

    Returns
    -------
    str
        Empty where there is one score alone.

    Examples
    --------
    >>> spark_line([0.0, None], 100.0)
    '2,14 58,2'
    >>> spark_line([None], 50.0)
    ''
    """
    dated = [(place, one) for place, one in enumerate([*(past or ()), score]) if one is not None]
    if len(dated) < 2:
        return ""
    low, high = min(one for _, one in dated), max(one for _, one in dated)
    room = max(LEAST_SPAN - (high - low), 0.0) / 2
    low, span, last = low - room, high - low + 2 * room, dated[-1][0]
    return " ".join(
        f"{EDGE + place / last * (WIDTH - 2 * EDGE):.4g},"
        f"{HEIGHT - EDGE - (one - low) / span * (HEIGHT - 2 * EDGE):.4g}"
        for place, one in dated
    )
