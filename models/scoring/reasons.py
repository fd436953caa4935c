"""Points in words: what moved a score, as a customer-success manager would say it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalog import CONTEXT, STEADY, Group, Signal
from features.json_values import JsonReady
from models.arrays import Floats

MINUS = "\N{MINUS SIGN}"
# SHAP values come in multiples of a small unit; points below this are its rounding.
LEAST_POINTS = 1e-6
LONGEST_CATEGORY = 60
LONGEST_LEVEL = 160
DIGITS = 4
"""Significant digits of what a reason was seen with; whole numbers keep all."""


@dataclass(frozen=True)
class Reason(JsonReady):
    """One signal's share of one score.

    Attributes
    ----------
    signal, group, label : str
        Which signal.
    value : float, str or None
        What was observed; None when it was not known.
    points : float
        Points added to the segment's baseline score.
    sentence : str
        The same in words.
    """

    signal: str
    group: Group
    label: str
    value: float | str | None
    points: float
    sentence: str


def is_context(signals: Sequence[Signal]) -> NDArray[np.bool_]:
    """Tell which signals only say who an account is and what its contract says: (n_signals,)."""
    return np.array([signal.group == CONTEXT for signal in signals], dtype=bool)


def reasons(
    points: Floats, values: pd.DataFrame, signals: Sequence[Signal], limit: int = 5
) -> list[list[Reason]]:
    """Pick the signals with the largest points of each row, behaviour before context.

    Nobody can call a customer about a contract's calendar or a plan, so what only describes an
    account comes after all that it did.

    Parameters
    ----------
    points : ndarray of shape (n, n_signals)
        Points of each signal.
    values : DataFrame of n rows
        Observed values, one column per signal name.
    signals : sequence of Signal
        What the columns of ``points`` are.
    limit : int
        Most reasons per row; signals without points are never given.

    Returns
    -------
    list of list of Reason
        Per row, behaviour before context, the largest absolute points first in each; catalogue
        order decides a tie.
    """
    size = np.abs(points)
    context = is_context(signals) | (size < LEAST_POINTS)
    largest = np.lexsort((-size, context), axis=1)[:, :limit]
    columns = [values[signal.name].to_numpy(dtype=object) for signal in signals]
    return [
        [
            _reason(signals[i], columns[i][row], float(points[row, i]))
            for i in largest[row]
            if abs(points[row, i]) >= LEAST_POINTS
        ]
        for row in range(len(points))
    ]


def sentence(signal: Signal, value: object, points: float) -> str:
    """Say what was observed and what it did to the score.

    Parameters
    ----------
    signal : Signal
        Its ``sentence`` is a template; ``{value}`` stands for the value with its unit: "1,204",
        "12 days", "18 %", "12,300" (money, in the currency of the tables), "yes" or "no" (flag),
        the category itself, and for a change "rose 42 %", "fell 42 %" or "held steady".
    value : float, str or None
        Observed value, a number also as the text that is stored with a score; None or NaN where
        it was not known.
    points : float
        Points of the signal.

    Examples
    --------
    >>> active = Signal("active_users_change", "usage", "change", "higher", "Active users", 28,
    ...                 "Active users {value} against the month before")
    >>> sentence(active, -0.42, -8.13)
    'Active users fell 42 % against the month before: −8.1 points'
    >>> sentence(active, None, 0.5)
    'Active users is not known: +0.5 points'
    >>> tickets = Signal("tickets_open", "support", "count", "lower", "Open tickets", None,
    ...                  "{value} ticket{s} open now")
    >>> sentence(tickets, 1, -3)
    '1 ticket open now: −3.0 points'
    >>> sponsor = Signal("rating_sponsor", "relationship", "score", "higher", "Sponsor rating", 365,
    ...                  "Sponsor is rated {value}", (("3", "Replies"), ("4", "Meets monthly")))
    >>> sentence(sponsor, "4.2", 2.5)
    "Sponsor is rated 4.2 (4: 'Meets monthly'): +2.5 points"
    """
    return f"{observation(signal, value)}: {_points(points)}"


def observation(signal: Signal, value: object) -> str:
    """Say what was observed of a signal, as :func:`sentence` does, without its points.

    Examples
    --------
    >>> tickets = Signal("tickets_open", "support", "count", "lower", "Open tickets", None,
    ...                  "{value} ticket{s} open now")
    >>> observation(tickets, 2), observation(tickets, None)
    ('2 tickets open now', 'Open tickets is not known')
    """
    if _unknown(value):
        said = f"{signal.label} is not known"
    else:
        value = value if signal.is_categorical else float(value)  # type: ignore[arg-type]
        # Not str.format: a brace in a category must stay a brace.
        shown = value_text(signal, value)
        plural = "" if shown == "1" else "s"
        shown += _level(signal, value)
        said = signal.sentence.replace("{s}", plural).replace("{value}", shown)
    return f"{said[:1].upper()}{said[1:]}"


def _reason(signal: Signal, value: Any, points: float) -> Reason:
    known = None if _unknown(value) else value if signal.is_categorical else float(value)
    return Reason(
        signal=signal.name,
        group=signal.group,
        label=signal.label,
        value=known if known is None or isinstance(known, float) else str(known),
        points=points,
        sentence=sentence(signal, value, points),
    )


def _unknown(value: object) -> bool:
    return bool(value is None or pd.isna(value))  # type: ignore[call-overload]


def value_text(signal: Signal, value: Any) -> str:
    """Write an observed value with its unit; one that is not known has no text.

    Examples
    --------
    >>> mood = Signal("mood", "support", "score", "higher", "Mood", 28, "Mood is {value}")
    >>> value_text(mood, 4.26), value_text(mood, -0.04)
    ('4.3', '0')
    """
    match signal.unit:
        case "category":
            return _one_line(str(value))
        case "flag":
            return "yes" if float(value) else "no"
        case "change":
            return _change(float(value))
        case "share":
            return _percent(float(value))
        case "days":
            text = _number(float(value))
            return f"{text} day" if text in ("1", f"{MINUS}1") else f"{text} days"
        case "money":
            return _number(round(float(value)))
        case _:
            return _number(float(value))


def _level(signal: Signal, value: Any) -> str:
    """Say what the nearest level of a rated scale means; halfway, the lower one."""
    if not signal.levels:
        return ""
    near = min(signal.levels, key=lambda level: (abs(float(level[0]) - value), float(level[0])))
    return f" ({near[0]}: '{_one_line(near[1], LONGEST_LEVEL)}')"


def _change(value: float) -> str:
    if abs(value) < STEADY:
        return "held steady"
    return f"{'rose' if value > 0 else 'fell'} {_percent(abs(value))}"


def _percent(value: float) -> str:
    percent = 100 * value
    digits = 1 if 0 < abs(percent) < 0.95 else 0
    return f"{percent:,.{digits}f} %".replace("-", MINUS)


def _number(value: float) -> str:
    """Whole numbers from ten on; below, one decimal where there is one."""
    text = f"{value:,.1f}" if abs(value) < 9.95 else f"{value:,.0f}"
    text = text.removesuffix(".0")
    # A small negative number is written as none, without its sign.
    return "0" if text == "-0" else text.replace("-", MINUS)


def _points(points: float) -> str:
    text = f"{abs(points):.1f}"
    sign = "" if text == "0.0" else MINUS if points < 0 else "+"
    return f"{sign}{text} {'point' if text == '1.0' else 'points'}"


def _one_line(text: str, longest: int = LONGEST_CATEGORY) -> str:
    """Control characters and line breaks out of a name somebody else has typed."""
    clean = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    clean = " ".join(clean.split())
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def significant(numbers: Floats) -> Floats:
    """Round to :data:`DIGITS` digits, whole numbers not at all; NaN stays."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        decimals = DIGITS - 1 - np.floor(np.log10(np.abs(numbers)))
        # Larger powers of ten are no doubles, and numbers so near to zero are rare.
        unit = 10.0 ** np.clip(decimals, 0, 22)
        return np.where(numbers == np.rint(numbers), numbers, np.rint(numbers * unit) / unit)
