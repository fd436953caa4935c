"""What segments are called wherever people read of them."""

from __future__ import annotations

from collections.abc import Iterable

from models.churn.segments import ALL, NO_OWN, segment_words

__all__ = ["ALL", "NO_OWN", "segment_called", "segment_words"]


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
