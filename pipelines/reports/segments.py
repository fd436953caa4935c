"""What segments are called wherever people read of them."""

from __future__ import annotations

from collections.abc import Iterable

from features.catalog import EVERYBODY
from models.churn.segments import BETWEEN

ALL = "all accounts"
NO_OWN = "no segment of its own"


def segment_words(segment: str, everybody: str = NO_OWN) -> str:
    """Say which accounts a segment holds, without the column that tells them apart.

    Parameters
    ----------
    segment : str
        As models name it.
    everybody : str
        What accounts of no named segment are called: where accounts are told apart they are those
        whose segment is too small for a model of its own, and where weights are, all of them.

    Returns
    -------
    str
        Still somebody else's text.

    Examples
    --------
    >>> segment_words("plan=enterprise"), segment_words("all"), segment_words("a=b=c")
    ('enterprise', 'no segment of its own', 'a=b=c')
    >>> segment_words("plan=pro / region=EMEA / onboarding")
    'pro / EMEA / onboarding'
    >>> segment_words("all", ALL)
    'all accounts'
    """
    if segment == EVERYBODY:
        return everybody
    parts = [part.partition("=") for part in segment.split(BETWEEN)]
    if all(not sign or (column.isidentifier() and _is_one(value)) for column, sign, value in parts):
        return BETWEEN.join(value if sign else stage for stage, sign, value in parts)
    return segment


def segment_called(words: str, segments: Iterable[str]) -> str:
    """Find the segment that somebody calls so, by its name or by its words.

    Examples
    --------
    >>> segment_called("enterprise", ["plan=enterprise", "plan=free"])
    'plan=enterprise'
    >>> segment_called("all accounts", ["all", "plan=free"]), segment_called("pro", ["plan=free"])
    ('all', 'pro')
    """
    known = list(segments)
    if words in known:
        return words
    meant = [one for one in known if words in (segment_words(one), segment_words(one, ALL))]
    return meant[0] if len(meant) == 1 else words


def _is_one(value: str) -> bool:
    """Tell whether nothing in a value reads like another column."""
    return bool(value) and "=" not in value
