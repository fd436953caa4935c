"""The ``[signals]`` section: which signals are built, and what the user's own words mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from features.catalog import Direction, Group, Signal, Unit
from features.errors import SettingsError, nearest, sample
from features.tables.mapping.mapping import Frozen

Words = tuple[str, ...]
LEVEL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


class TicketWords(Frozen):
    """The ``[signals.tickets]`` section: the words that tickets are sorted by; case is ignored.

    Parameters
    ----------
    severe : tuple of str
        Values of ``priority`` that mean a severe problem.
    bug, how_to, feature_request : tuple of str
        Values of ``category`` of each kind.
    """

    severe: Words = ("urgent", "critical", "blocker", "high", "severe", "p0", "p1", "sev1")
    bug: Words = ("bug", "defect", "incident", "outage", "problem", "technical", "error")
    how_to: Words = ("how-to", "how to", "howto", "question", "training", "usage", "support")
    feature_request: Words = ("feature request", "feature-request", "feature_request", "feature")


class LifecycleSettings(Frozen):
    """The ``[signals.lifecycle]`` section.

    Parameters
    ----------
    onboarding_days : int
        Accounts younger than this are in ``onboarding``.
    renewal_days : int
        Later, accounts whose contract renews within so many days are in ``renewal``; the rest are
        ``established``.
    """

    onboarding_days: int = Field(90, ge=1)
    renewal_days: int = Field(90, ge=1)


class OwnSignal(Frozen):
    """One entry of ``[signals.own]``: a column of ``snapshots`` that becomes a signal.

    Parameters
    ----------
    group : str
        The signal group it belongs to.
    healthy : {"higher", "lower", "none"}
        The declared healthy direction.
    unit : str or None
        How values are written; text columns are categories, numbers counts.
    label : str or None
        Short noun phrase; the column's name when left out.
    sentence : str or None
        Template of a reason, with ``{value}``.
    over_time : bool
        Whether it is a number that is measured again and again: the signal is then its mean over
        35 days, with its means over 91 and 182 days and its change beside it.
    """

    group: Group
    healthy: Direction = "none"
    unit: Unit | None = None
    label: str | None = Field(None, max_length=60)
    sentence: str | None = Field(None, max_length=200)
    over_time: bool = False


class SignalsSettings(Frozen):
    """The ``[signals]`` section.

    Parameters
    ----------
    key_features : tuple of str
        Product features (values of ``usage_events.feature``) that get signals of their own.
    groups_off : tuple of str
        Signal groups to leave out.
    sensitive : tuple of str
        Account attributes that are never inputs (gender, age …).
    owners : tuple of str
        Account attributes that name who looks after an account, beside those whose name says so
        (csm, owner, account manager …) and the one of ``[serve] owner``. Never inputs: a score
        that changes with the person says nothing about the customer.
    builders : tuple of str
        Python files with builders of the user's own, relative to the configuration.
    tickets : TicketWords
        The words that tickets are sorted by.
    lifecycle : LifecycleSettings
        Where one lifecycle stage ends and the next begins.
    own : dict of str to OwnSignal
        Columns of ``snapshots`` that become signals.
    healthy : dict of str to {"higher", "lower", "none"}
        Healthy directions by name of signal that replace the catalogue's: a model never holds a
        move in the healthy direction against an account, unless it is "none".
    rubric : dict of str to dict of str to str
        Per dimension of ``ratings``, what each level means; shown beside the rating.
    """

    key_features: Words = Field((), max_length=50)
    groups_off: tuple[Group, ...] = ()
    sensitive: Words = ()
    owners: Words = ()
    builders: Words = ()
    tickets: TicketWords = TicketWords()
    lifecycle: LifecycleSettings = LifecycleSettings()
    own: dict[str, OwnSignal] = Field({}, max_length=500)
    healthy: dict[str, Direction] = Field({}, max_length=500)
    rubric: dict[str, dict[str, Annotated[str, Field(max_length=500)]]] = Field({}, max_length=50)

    @field_validator("rubric")
    @classmethod
    def _levels_are_numbers(cls, rubric: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for dimension, levels in rubric.items():
            for level in levels:
                if not LEVEL.fullmatch(level):
                    raise ValueError(
                        f"[signals.rubric.{dimension[:60]}] must name levels by their number and"
                        f' has {level[:60]!r}; write for example 5 = "{levels[level][:40]}"'
                    )
        return rubric

    def check_healthy(self, signals: Sequence[Signal]) -> None:
        """Refuse a healthy direction that no signal could have.

        Raises
        ------
        SettingsError
            When ``healthy`` names no signal, or gives a direction to one whose values are names.
        """
        known = {signal.name: signal for signal in signals}
        for name, direction in self.healthy.items():
            if name not in known:
                raise SettingsError(
                    f"[signals.healthy] names '{name[:60]}', which is no signal of this company"
                    f"{nearest(name, known) or f'; its signals are {sample(known, 8)}'}"
                )
            if known[name].is_categorical and direction != "none":
                raise SettingsError(
                    f'[signals.healthy] {name} must be "none", for its values are names, and is'
                    f' "{direction}"; take it off'
                )
