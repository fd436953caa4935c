"""The errors a person may meet, each a single sentence and an exit code a scheduler can read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_LINE = 400
"""Characters: a path, of which there may be two, and what a library says of it."""


class HealthscoreError(Exception):
    """Anything that stops a command and is not a defect of the program.

    The message is one sentence that names the thing, the rule, the value found and the next step.

    Attributes
    ----------
    exit_code : int
        What the command line returns to the shell.
    """

    exit_code = 1


class SettingsError(HealthscoreError):
    """The configuration file is missing, unreadable or contradicts itself."""

    exit_code = 2


class DataError(HealthscoreError):
    """The source tables break the contract in a way that no counted warning can cover."""

    exit_code = 3


class EvidenceError(HealthscoreError):
    """The history holds too few matured outcomes to learn from."""

    exit_code = 4


class RegistryError(HealthscoreError):
    """No usable champion model was found."""

    exit_code = 5


class StoreError(HealthscoreError):
    """Scores could not be read or written."""

    exit_code = 6


def nearest(name: str, known: Iterable[str]) -> str:
    """Phrase a suggestion for a misspelt name, or nothing when no known name is close.

    Examples
    --------
    >>> nearest("acount_id", ["account_id", "created_at"])
    "; did you mean 'account_id'?"
    >>> nearest("zzz", ["account_id"])
    ''
    """
    lowered = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean '{lowered[found[0]]}'?" if found else ""


def sample(values: Iterable[object], limit: int = 3) -> str:
    """Quote the first few values of a possibly long or hostile list.

    Examples
    --------
    >>> sample(["a", "b", "c", "d"])
    "'a', 'b', 'c' and 1 more"
    """
    listed = list(values)
    shown = ", ".join(repr(str(value)[:60]) for value in listed[:limit])
    return f"{shown} and {len(listed) - limit} more" if len(listed) > limit else shown


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, without the closing full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:LONGEST_LINE] if lines else type(error).__name__
