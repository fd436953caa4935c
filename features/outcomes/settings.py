"""The ``[outcome]`` section: what is foretold, how far ahead, and from which dates."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from features.tables.mapping.mapping import Frozen

OutcomeKind = Literal["churn", "renewal", "contraction", "expansion", "adoption", "label"]
GOOD_KINDS: tuple[OutcomeKind, ...] = ("expansion", "adoption")
OF_SOME_ACCOUNTS: tuple[OutcomeKind, ...] = ("renewal", "adoption")
"""Kinds that not every active account can have."""
OF_ONE_KIND = ("change_share", "target", "good", "days_before", "notice_days")
"""Settings that only some kinds have."""
WINDOW_SETTINGS = ("horizon_days", "lead_days")
"""Settings of a window that begins with the observation date; a renewal has its own end."""
DAYS_BEFORE = (365, 270, 180, 90, 60, 30)


class OutcomeWords(NamedTuple):
    """How people speak of an outcome.

    Attributes
    ----------
    noun : str
        As in "12 % churn".
    past : str
        As in "accounts that churned".
    """

    noun: str
    past: str


WORDS: dict[OutcomeKind, OutcomeWords] = {
    "churn": OutcomeWords("churn", "churned"),
    "renewal": OutcomeWords("loss at renewal", "were lost at renewal"),
    "contraction": OutcomeWords("contraction", "contracted"),
    "expansion": OutcomeWords("expansion", "expanded"),
    "adoption": OutcomeWords("adoption", "adopted"),
    "label": OutcomeWords("outcome", "had the outcome"),
}


class AdoptionTarget(Frozen):
    """The ``[outcome.target]`` section: what an account must reach within the outcome window.

    Parameters
    ----------
    measure : {"events", "users", "features"}
        What is counted: uses (the sum of ``quantity`` where it is mapped), distinct users, or
        distinct features.
    at_least : int
        The count that reaches the target.
    feature : str or None
        Count only uses of this feature.
    """

    measure: Literal["events", "users", "features"] = "events"
    at_least: int = Field(ge=1)
    feature: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _features_are_many(self) -> Self:
        if self.measure == "features" and self.feature is not None:
            raise ValueError(
                f"counts features and names one, {self.feature[:60]!r}; leave the feature out or"
                ' set measure = "events"'
            )
        return self


class OutcomeSettings(Frozen):
    """The ``[outcome]`` section: what is foretold, how far ahead, and from which dates.

    Parameters
    ----------
    kind : {"churn", "renewal", "contraction", "expansion", "adoption", "label"}
        The outcome: the account leaves; it is lost at its next renewal; its MRR is lower, or
        higher, at the end of the outcome window; it reaches a target of use within the window; or
        what table ``labels`` says.
    horizon_days : int
        Length of the outcome window in days.
    lead_days : int
        Days between the observation date and the start of the window: the time left to act.
    spacing : {"month", "week"} or int
        Distance of observation dates: the first of each month, every Monday, or so many days.
    first_observation : date or None
        Earliest observation date; by default 56 days after behaviour is first seen, when the
        28-day windows and those before them are full.
    dates : tuple of date
        The observation dates themselves, instead of a spacing.
    grace_days : int
        Where churn is read from subscriptions: a gap up to this long is no churn.
    change_share : float
        Contraction and expansion: the share of its MRR by which an account must change.
    target : AdoptionTarget or None
        Adoption: what must be reached.
    days_before : tuple of int
        Renewals: distances before each renewal at which an account is looked at. The largest is
        the length of the outcome window.
    notice_days : int
        Renewals: days before a renewal from which on notice can no longer be given, so that nobody
        is looked at.
    good : bool or None
        Labels: whether the outcome is good news, so that a high score means a high probability;
        false when left out. The other kinds know.
    """

    kind: OutcomeKind = "churn"
    horizon_days: int = Field(30, ge=1, le=730)
    lead_days: int = Field(0, ge=0, le=365)
    spacing: Literal["month", "week"] | Annotated[int, Field(ge=1, le=730)] = "month"
    first_observation: date | None = None
    dates: tuple[date, ...] = ()
    grace_days: int = Field(7, ge=0, le=365)
    change_share: float = Field(0.1, gt=0, le=10)
    target: AdoptionTarget | None = None
    days_before: tuple[Annotated[int, Field(ge=1, le=730)], ...] = DAYS_BEFORE
    notice_days: int = Field(0, ge=0, le=365)
    good: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _looks_as_far_as_asked(cls, raw: Any) -> Any:
        """Let the window of a renewal be as long as the furthest distance before it."""
        if not isinstance(raw, dict) or raw.get("kind") != "renewal":
            return raw
        given = raw.get("days_before", DAYS_BEFORE)
        days = [day for day in given if isinstance(day, int)] if _is_list(given) else []
        if not days:
            return raw
        for name, meant in zip(WINDOW_SETTINGS, (max(days), 0), strict=True):
            if raw.get(name, meant) != meant:
                raise ValueError(
                    f'{name} has no meaning for kind = "renewal", whose window ends with each'
                    " contract; take it out and set days_before"
                )
        return {**raw, "horizon_days": max(days)}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given, kind = self.model_fields_set, self.kind
        if kind == "adoption" and self.target is None:
            raise ValueError(
                'kind = "adoption" needs a target; write one such as target = { measure = "users",'
                " at_least = 5 }"
            )
        if kind != "adoption" and self.target is not None:
            raise ValueError(
                f'target belongs to kind = "adoption" and the kind is {kind!r}; take it out or'
                " change the kind"
            )
        if kind != "label" and self.good is not None:
            raise ValueError(
                f'good belongs to kind = "label" and the kind is {kind!r}, which is'
                f" {'good' if kind in GOOD_KINDS else 'bad'} news by itself; take it out"
            )
        if "change_share" in given and kind not in ("contraction", "expansion", "renewal"):
            raise ValueError(
                f"change_share belongs to contraction, expansion and renewal and the kind is"
                f" {kind!r}; take it out"
            )
        for name in ("days_before", "notice_days"):
            if name in given and kind != "renewal":
                raise ValueError(
                    f'{name} belongs to kind = "renewal" and the kind is {kind!r}; take it out'
                )
        if kind == "renewal" and not self.days_before:
            raise ValueError("days_before must name at least one distance, and is empty")
        if kind == "renewal" and self.notice_days >= max(self.days_before):
            raise ValueError(
                f"notice_days must be below the largest of days_before, and {self.notice_days} is"
                f" not below {max(self.days_before)}: nobody would be looked at; correct one of"
                " them"
            )
        if kind == "contraction" and self.change_share > 1:
            raise ValueError(
                "change_share must not be above 1 for a contraction, as nobody loses more than the"
                f" whole, and is {self.change_share:g}; correct it"
            )
        return self

    @property
    def maturity_days(self) -> int:
        """Days from an observation date to the end of its outcome window."""
        return self.lead_days + self.horizon_days

    @property
    def is_good(self) -> bool:
        """Whether the outcome is good news: then a high score means a high probability."""
        return bool(self.good) if self.kind == "label" else self.kind in GOOD_KINDS

    @property
    def words(self) -> OutcomeWords:
        """How people speak of it."""
        return WORDS[self.kind]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
