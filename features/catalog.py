"""The catalogue: every signal people may see, with the words to speak of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, get_args

from features.json_values import JsonReady

Group = Literal[
    "usage",
    "adoption",
    "support",
    "payments",
    "referrals",
    "surveys",
    "enablement",
    "relationship",
    "profile",
]
GROUPS: tuple[Group, ...] = get_args(Group)
STEADY = 0.005
"""A change by less than this is written as none."""
AGE = "account_age_days"
"""Column of the days since an account was made; no signal."""
EVERYBODY = "all"
"""Stands where the name of a segment does, for all accounts together; the root of segments."""
# Who an account is and what its contract says: in the model, but nothing a team could weigh.
CONTEXT: Group = "profile"

Unit = Literal["count", "score", "days", "share", "money", "change", "category", "flag"]
Direction = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Signal(JsonReady):
    """One feature that is shown to people.

    Parameters
    ----------
    name : str
        Column name in the feature table; lower case, digits and underscores.
    group : Group
        The signal group whose points it adds to.
    unit : Unit
        How a value is written for people. ``share`` is a fraction of one, ``change`` a relative
        change against an earlier window (-0.42 reads "fell 42 %"), ``flag`` is 0 or 1.
    healthy : {"higher", "lower", "none"}
        The declared healthy direction; ``none`` where a sane person could argue both ways.
    label : str
        Short noun phrase, such as "Active users".
    window_days : int or None
        Length of the lookback window in days; None where the signal is a state.
    sentence : str
        Template with ``{value}`` for a reason a customer-success manager would say; ``{s}`` is
        the plural's s, left out where the value is 1.
    levels : tuple of (str, str)
        What a level of a rated scale means, as (level, text); the text of the nearest level is
        said beside the value.

    Examples
    --------
    >>> seats = Signal("seat_utilisation", "usage", "share", "higher", "Seats in use", 28,
    ...                "{value} of paid seats were used in 28 days")
    >>> seats.is_categorical
    False
    """

    name: str
    group: Group
    unit: Unit
    healthy: Direction
    label: str
    window_days: int | None
    sentence: str
    levels: tuple[tuple[str, str], ...] = ()

    @property
    def is_categorical(self) -> bool:
        """Whether values are names rather than numbers."""
        return self.unit == "category"

    def with_levels(self, levels: Mapping[str, str]) -> Signal:
        """Return the signal with the texts of its levels, in ascending order."""
        return replace(self, levels=tuple(sorted(levels.items(), key=lambda pair: float(pair[0]))))


def signal_name(text: str) -> str:
    """Turn any text into a column name; a text in another script gets a digest for a name.

    Examples
    --------
    >>> signal_name("Export (CSV)")
    'export_csv'
    >>> signal_name("業種")
    'unnamed_ac16b6d4'
    """
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]
    return plain or f"unnamed_{sha256(text.encode()).hexdigest()[:8]}"


def signal_label(text: str) -> str:
    """Turn any text into a label that no template mistakes for its own.

    Examples
    --------
    >>> signal_label("executive_sponsor {value}")
    'Executive sponsor (value)'
    """
    label = text[:60].replace("_", " ").replace("{", "(").replace("}", ")")
    return label[:1].upper() + label[1:]


def groups_of(signals: Iterable[Signal]) -> tuple[Group, ...]:
    """List the groups that occur, in the order of :data:`GROUPS`."""
    present = {signal.group for signal in signals}
    return tuple(group for group in GROUPS if group in present)
