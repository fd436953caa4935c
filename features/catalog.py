"""The catalogue: every signal people may see, with the words to speak of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

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

Unit = Literal["count", "days", "share", "money", "change", "category", "flag"]
Direction = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Signal:
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

    @property
    def is_categorical(self) -> bool:
        """Whether values are names rather than numbers."""
        return self.unit == "category"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Signal:
        """Rebuild a signal from :meth:`to_dict`."""
        return cls(**described)


def groups_of(signals: Iterable[Signal]) -> tuple[Group, ...]:
    """List the groups that occur, in the order of :data:`GROUPS`."""
    present = {signal.group for signal in signals}
    return tuple(group for group in GROUPS if group in present)
