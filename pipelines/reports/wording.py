"""How numbers, amounts and names are written on every page."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, TypeGuard

from markupsafe import Markup, escape

from pipelines.reports.terminal.console import plain

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from models.scoring.health_model import HealthModel
    from models.scoring.scale import ScoreScale

FILTERS = (
    "count",
    "percent",
    "money",
    "score",
    "one_decimal",
    "name",
    "told",
    "between",
    "day",
    "short_day",
)
# A page wraps what a terminal has to cut; still nobody's name is to fill it.
LONGEST = 300
# A longer word is broken where a line ends, or it would push its column off the page.
LONG_WORD = 24
UNKNOWN = "not known"
# A number and its unit stay on one line.
THIN = "\u202f"
MONEY = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))
# Below this share one decimal hides the difference between rare and rarer.
RARE = 0.001
FEW = 10


def spell(days: float) -> str:
    """Write how long something has lasted.

    Examples
    --------
    >>> spell(1), spell(9), spell(35), spell(400)
    ('1 day', '9 days', '5 weeks', '13 months')
    """
    for most, unit, length in ((13.5, "day", 1.0), (83.5, "week", 7.0)):
        if days <= most:
            return plural(round(days / length), unit)
    return plural(round(days / 30.44), "month")


def band_limits(scale: ScoreScale) -> str:
    """Write which scores lie in which band.

    Examples
    --------
    >>> from models.scoring.scale import ScoreScale
    >>> band_limits(ScoreScale(0.05, at_risk_from=0.0952, watch_from=0.0452))
    'at-risk < 40 ≤ watch < 51.5 ≤ healthy'
    """
    limits = [f"{min(max(limit, 0), 100):.1f}".removesuffix(".0") for limit in scale.limits]
    bands = list(scale.bands)
    if scale.good:
        limits, bands = limits[::-1], bands[::-1]
    return f"{bands[0]} < {limits[0]} ≤ {bands[1]} < {limits[1]} ≤ {bands[2]}"


BANDS_CHANGE = "8 points beyond a limit, or beyond it twice in a row"
"""When an account changes its band, after "a band changes"."""


def band_kept(scale: ScoreScale, band: str, score: float) -> str | None:
    """Say why a band is not that of its score; None where it is.

    Examples
    --------
    >>> from models.scoring.scale import ScoreScale
    >>> scale = ScoreScale(0.05, at_risk_from=0.0952, watch_from=0.0452)
    >>> band_kept(scale, "watch", 33.9)
    '33.9 alone is at-risk; a band changes 8 points beyond a limit, or beyond it twice in a row'
    >>> band_kept(scale, "watch", 45.0)
    """
    import numpy as np

    alone = str(scale.bands[int(scale.position_of(np.array([score]))[0])])
    return None if alone == band else f"{score:.1f} alone is {alone}; a band changes {BANDS_CHANGE}"


def usual_words(scale: ScoreScale, score: float, if_due: float | None) -> str | None:
    r"""Say which risk at a decision scores 50, where kinds of terms are told apart.

    It is told by what was issued: the account's risk, and as many times its odds as the score is
    from 50.

    Parameters
    ----------
    scale : ScoreScale
        The scale of the model.
    score : float
        The account's score.
    if_due : float or None
        Its risk at a decision.

    Returns
    -------
    str or None
        None where 50 is the same risk for everybody, or the score is cut off at 0 or 100 and so
        does not tell.

    Examples
    --------
    >>> from models.scoring.scale import ScoreScale
    >>> scale = ScoreScale(0.05, 0.0952, 0.0452, term_anchors=(0.05, 0.1, 0.1, 0.2, 0.2))
    >>> usual_words(scale, 40.0, 1 / 3)
    '50 is the 20.0\u202f% that is usual at decisions about terms of its kind'
    >>> usual_words(scale, 0.0, 0.99)
    """
    if not scale.term_anchors or if_due is None or not (0 < score < 100 and 0 < if_due < 1):
        return None
    odds = if_due / (1 - if_due) * math.exp((50 - score) / scale.points_per_log_odds)
    usual = percent(odds / (1 + odds))
    return f"50 is the {usual} that is usual at decisions about terms of its kind"


def count(number: float | None) -> str:
    """Write how many.

    Examples
    --------
    >>> count(12345), count(2.6), count(None)
    ('12,345', '3', 'not known')
    """
    return f"{number:,.0f}" if _known(number) else UNKNOWN


def amount(number: float) -> str:
    """Write how many, with a decimal where they are few.

    Examples
    --------
    >>> amount(123.4), amount(4.25), amount(3.0)
    ('123', '4.2', '3')
    """
    return count(number) if abs(number) >= FEW else score(number)


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share as a percentage.

    Examples
    --------
    >>> percent(0.0618), percent(0.0004), percent(0.5, 0), percent(None)
    ('6.2\u202f%', '0.04\u202f%', '50\u202f%', 'not known')
    """
    if not _known(share):
        return UNKNOWN
    digits = max(digits, 2) if 0 < abs(share) < RARE else digits
    return f"{100 * share:.{digits}f}{THIN}%"


def money(amount: float | None) -> str:
    """Write an amount of money to three figures, in the currency of the tables.

    Examples
    --------
    >>> money(2_345_678), money(999_700), money(51_200), money(840), money(-3_000)
    ('2.35\u202fM', '1.00\u202fM', '51.2\u202fk', '840', '-3.00\u202fk')
    """
    if not _known(amount):
        return UNKNOWN
    rounded = float(f"{amount:.3g}")
    for unit, letter in MONEY:
        if abs(rounded) >= unit:
            digits = 2 - int(math.log10(abs(rounded) / unit) + 1e-9)
            return f"{rounded / unit:,.{max(digits, 0)}f}{THIN}{letter}"
    return f"{rounded:,.0f}"


def score(number: float | None) -> str:
    """Write a score or a weight: whole where it is whole, else to one decimal.

    Examples
    --------
    >>> score(30.0), score(12.5), score(None)
    ('30', '12.5', 'not known')
    """
    if not _known(number):
        return UNKNOWN
    return f"{number:.0f}" if abs(number - round(number)) < 0.05 else f"{number:.1f}"


def day(moment: date) -> str:
    """Write a date so that nobody takes the month for the day.

    Examples
    --------
    >>> day(date(2025, 3, 1))
    '1 March 2025'
    """
    return f"{moment.day} {moment:%B %Y}"


def one_decimal(number: float | None) -> str:
    """Write a score as it stands in a column of them: always to one decimal.

    Examples
    --------
    >>> one_decimal(30.0), one_decimal(12.54), one_decimal(None)
    ('30.0', '12.5', 'not known')
    """
    return f"{number:.1f}" if _known(number) else UNKNOWN


def signed_points(points: float) -> str:
    """Write points with their sign.

    Examples
    --------
    >>> signed_points(-8.13), signed_points(0.02), signed_points(3.0)
    ('−8.1', '0.0', '+3.0')
    """
    text = f"{points:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def short_day(moment: date) -> str:
    """Write a date for a narrow column.

    Examples
    --------
    >>> short_day(date(2025, 3, 1))
    '1 Mar 2025'
    """
    return f"{moment.day} {moment:%b %Y}"


def plural(number: int, noun: str, several: str = "") -> str:
    """Write how many of something.

    Examples
    --------
    >>> plural(1, "account"), plural(2300, "account"), plural(2, "has", "have")
    ('1 account', '2,300 accounts', '2 have')
    """
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def name(text: object) -> Markup:
    """Write somebody's text so that neither its markup nor its direction reaches the page.

    Examples
    --------
    >>> name("<b>Acme</b>")
    Markup('<bdi>&lt;b&gt;Acme&lt;/b&gt;</bdi>')
    >>> name(None)
    Markup('<bdi>unnamed</bdi>')
    """
    clean = ("" if text is None else plain(text, LONGEST)) or "unnamed"
    start = '<bdi class="long">' if _has_long_word(clean) else "<bdi>"
    return Markup(start) + clean + Markup("</bdi>")


def told(text: str) -> Markup:
    """Write a sentence that may hold somebody's names.

    Examples
    --------
    >>> told("5 % of 'a<b'")
    Markup('5\u202f% of &#39;a&lt;b&#39;')
    >>> told(Markup("<b>5 %</b>"))
    Markup('<b>5 %</b>')
    """
    if isinstance(text, Markup):
        return text
    clean = plain(text, 10 * LONGEST).replace(" %", f"{THIN}%")
    if _has_long_word(clean):
        return Markup('<span class="long">{}</span>').format(clean)
    return escape(clean)


def interval(low: float | None, high: float | None, digits: int = 1) -> Markup:
    """Write the interval of a share, to stand behind it; nothing where it is not known.

    Examples
    --------
    >>> interval(0.35, 0.472, 0)
    Markup('<span class="nowrap">(35 to 47\u202f%)</span>')
    """
    if not (_known(low) and _known(high)):
        return Markup()
    first = percent(low, digits).removesuffix(f"{THIN}%")
    return Markup('<span class="nowrap">({} to {})</span>').format(first, percent(high, digits))


def share(value: float | None, low: float | None, high: float | None, digits: int = 1) -> Markup:
    """Write a share with its interval.

    Examples
    --------
    >>> share(0.41, None, None)
    Markup('41.0\u202f%')
    """
    behind = interval(low, high, digits)
    return (
        Markup("{} {}").format(percent(value, digits), behind)
        if behind
        else escape(percent(value, digits))
    )


def prior_words(model: HealthModel | None, words: OutcomeWords) -> str | None:
    """Say how much of a model is a scorecard; None where outcomes alone taught it."""
    return None if model is None or model.prior is None else model.prior.sentence(words)


def between(low: float | None, high: float | None, write: Callable[[float], str] = score) -> str:
    """Write an interval.

    Examples
    --------
    >>> between(17.8, 27.2, count), between(0.018, 0.031, percent), between(3.0, 3.0)
    ('between 18 and 27', 'between 1.8\u202f% and 3.1\u202f%', 'about 3')
    >>> between(None, 3.0)
    'not known'
    """
    if not (_known(low) and _known(high)):
        return UNKNOWN
    first, last = write(low), write(high)
    return f"about {first}" if first == last else f"between {first} and {last}"


def _has_long_word(text: str) -> bool:
    return max(map(len, text.split()), default=0) > LONG_WORD


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and not math.isnan(number)
