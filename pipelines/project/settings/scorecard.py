"""``[scorecard]``, ``[plays]`` and ``[owners]``: what a team weighs by hand, and does about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from features.catalog import EVERYBODY, GROUPS
from features.errors import SettingsError, nearest, sample
from features.json_values import Json
from features.tables.mapping.mapping import Frozen

if TYPE_CHECKING:
    from features.catalog import Signal
    from models.arrays import Floats
    from models.scorecard.grading import Measure

"""What the weights of segments that have none of their own are called."""
TOLERANCE = 0.05
Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WEIGHED = tuple(group for group in GROUPS if group != "profile")


class MeasureSettings(Frozen):
    """A ``[scorecard.measures.NAME]`` section: a measure of the team's own.

    Parameters
    ----------
    signals : tuple of str
        Signals whose mean grade it is.
    healthy : {"higher", "lower"} or None
        Which way is healthy; by default as the catalogue says of each signal.
    grades : tuple of (float, float)
        Value and grade from 0 to 100, by ascending value; in between grades lie on a line. By
        default an account gets the percentile it has in its segment.
    """

    signals: tuple[str, ...] = Field(min_length=1)
    healthy: Literal["higher", "lower"] | None = None
    grades: tuple[tuple[float, float], ...] = ()

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        values = [value for value, _ in self.grades]
        if values != sorted(set(values)) or len(values) == 1:
            raise ValueError(
                "grades must hold at least two values in ascending order, each once, and hold"
                f" {sample(values, 6)}; order them"
            )
        if not all(0 <= grade <= 100 for _, grade in self.grades):
            raise ValueError("grades must lie between 0 and 100; correct those that do not")
        return self


class ScorecardSettings(Frozen):
    """The ``[scorecard]`` section: the weights in use today, in percent.

    Parameters
    ----------
    weights : dict of str to float
        Signal group, or measure, to its weight; they sum to 100. Equal weights stand in where
        none are given.
    segments : dict of str to dict of str to float
        The same for single segments.
    measures : dict of str to MeasureSettings
        Measures of the team's own, in place of those of the signal groups.
    red_below, green_from : float or None
        Scores below and from which an account is red and green; by default so that as many are as
        the model calls at-risk and healthy.
    """

    weights: dict[str, float] = Field({})
    segments: dict[str, dict[str, float]] = Field({})
    measures: dict[str, MeasureSettings] = Field({})
    red_below: float | None = Field(None, ge=0, le=100)
    green_from: float | None = Field(None, ge=0, le=100)

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        known = [*WEIGHED, *self.measures]
        for name in self.measures:
            if name in GROUPS:
                raise ValueError(
                    f"[scorecard.measures] names a measure {name!r}, which is a signal group; give"
                    " it another name"
                )
        if self.segments and not self.weights:
            raise ValueError(
                "[scorecard.segments] needs [scorecard] weights for the segments it does not name;"
                " write them"
            )
        for where, weights in self.by_place.items():
            if problem := weights_problem(weights, known):
                raise ValueError(f"{where} {problem}")
        low, high = self.red_below, self.green_from
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"[scorecard] red_below must not be above green_from and is {low:g} against"
                f" {high:g}; correct one of them"
            )
        return self

    @property
    def by_place(self) -> dict[str, dict[str, float]]:
        """All weights given, by the name of their section."""
        weightings = {"[scorecard] weights": self.weights} if self.weights else {}
        return weightings | {f"[scorecard.segments] {name}": w for name, w in self.segments.items()}


def weights_problem(weights: Mapping[str, float], known: Sequence[str]) -> str:
    """Say what is wrong with some weights, or nothing.

    Examples
    --------
    >>> weights_problem({"usage": 60, "support": 30}, ["usage", "support"])
    'must sum to 100 and sum to 90; correct the weights so that they do'
    >>> weights_problem({"usage": 60, "support": 40}, ["usage", "support"])
    ''
    """
    for name, weight in weights.items():
        if name not in known:
            hint = nearest(name, known) or f"; known are {', '.join(known)}"
            return f"names {sample([name])}, which is no signal group and no measure{hint}"
        if not 0 <= weight <= 100:
            return (
                f"gives {sample([name])} the weight {weight:g}, and a weight lies between 0 and"
                " 100; correct it"
            )
    total = sum(weights.values())
    if abs(total - 100) > TOLERANCE:
        return f"must sum to 100 and sum to {total:g}; correct the weights so that they do"
    return ""


def read_weights(text: str, known: Sequence[str]) -> dict[str, float]:
    """Read weights from the command line, as in ``usage=40,support=30,surveys=30``.

    Raises
    ------
    SettingsError
        When they cannot be read, name no measure, or do not sum to 100.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            weight = float(number)
        except ValueError:
            raise SettingsError(
                f"--weights must read like usage=40,support=60, and {sample([part])} does not;"
                " write a name, an equals sign and a number"
            ) from None
        if name in weights:
            raise SettingsError(f"--weights names {sample([name])} twice; leave one out")
        weights[name] = weight
    if problem := weights_problem(weights, known):
        raise SettingsError(f"--weights {problem}")
    return weights


def scorecard_measures(
    settings: ScorecardSettings, signals: Sequence[Signal]
) -> tuple[Measure, ...]:
    """List the measures that weights are learnt for.

    These are the team's own, those of the groups it weighs, and those of groups it does not score
    yet; a group whose signals a measure of the team's own is graded by is none of the latter.

    Raises
    ------
    SettingsError
        When a measure names a signal this company has not, a category, or one whose healthy
        direction nobody declared.
    """
    from models.scorecard.grading import GradedSignal, Measure, group_measures

    by_name = {signal.name: signal for signal in signals}
    own = []
    for name, given in settings.measures.items():
        graded = []
        for signal in given.signals:
            _refuse_ungraded(name, signal, given, by_name)
            higher = (given.healthy or by_name[signal].healthy) == "higher"
            graded.append(GradedSignal(signal, higher, given.grades))
        own.append(Measure(name, tuple(graded)))
    named = {name for weights in settings.by_place.values() for name in weights}
    taken = {by_name[signal.name].group for measure in own for signal in measure.signals}
    groups = {measure.name: measure for measure in group_measures(signals)}
    # A group that is weighed stays a line of the scorecard, with or without data.
    wanted = [g for g in WEIGHED if g in named or (g in groups and g not in taken)]
    return (*own, *(groups.get(group, Measure(group, ())) for group in wanted))


def _refuse_ungraded(
    name: str, signal: str, given: MeasureSettings, known: Mapping[str, Signal]
) -> None:
    if signal not in known:
        numbers = [each for each in known if not known[each].is_categorical]
        hint = nearest(signal, numbers) or "; 'healthscore signals' lists what there is"
        raise SettingsError(
            f"[scorecard.measures.{name}] names {sample([signal])}, which is no signal of this"
            f" company{hint}"
        )
    if known[signal].is_categorical:
        raise SettingsError(
            f"[scorecard.measures.{name}] names {sample([signal])}, which holds names and not"
            " numbers to grade; choose another signal"
        )
    if known[signal].healthy == "none" and given.healthy is None and not given.grades:
        raise SettingsError(
            f"[scorecard.measures.{name}] needs healthy or grades, for nobody declared which way"
            f' {sample([signal])} is healthy; write healthy = "higher" or "lower"'
        )


def weights_today(settings: ScorecardSettings, measures: Sequence[str]) -> dict[str, Floats]:
    """Arrange today's weights by segment, or "all", in the order of the measures.

    Equal whole weights stand in where none are configured.
    """
    import numpy as np

    from models.scorecard.scorecard import whole_percentages

    given: dict[str, Mapping[str, float]] = {EVERYBODY: settings.weights, **settings.segments}
    if not settings.weights:
        given = {EVERYBODY: whole_percentages(dict.fromkeys(measures, 1.0))}
    weightings = {}
    for segment, weights in given.items():
        row = np.array([weights.get(name, 0.0) for name in measures], dtype=float)
        weightings[segment] = 100 * row / row.sum()
    return weightings


class PlaysSettings(Frozen):
    """The ``[plays]`` section: what to do about a reason, and how what was done is read.

    Parameters
    ----------
    signals, groups : dict of str to str
        Signal, or signal group, to the play that answers it; a signal's outranks its group's.
    within_days : int
        A play counts as an answer to a score when it is made in so many days after its date.
    renamed : dict of str to str
        Earlier name of a play in the table of interventions to its name of now.
    hours : dict of str to float
        Hours of an owner's time that a play takes; one where it is not said.
    """

    signals: dict[str, str] = Field({})
    groups: dict[str, str] = Field({})
    within_days: int = Field(7, ge=1, le=90)
    renamed: dict[str, str] = Field({})
    hours: dict[str, Hours] = Field({})

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        for group in self.groups:
            if group not in GROUPS:
                hint = nearest(group, GROUPS) or f"; known are {', '.join(GROUPS)}"
                raise ValueError(f"[plays.groups] names {sample([group])}, no signal group{hint}")
        for old, now in self.renamed.items():
            if now in self.renamed:
                raise ValueError(
                    f"[plays.renamed] calls {sample([old])} by the name {sample([now])}, which is"
                    " an earlier name itself; write the name of now"
                )
        return self

    def play_for(self, signal: str, group: str) -> str | None:
        """Return the play that answers a reason, where there is one."""
        return self.signals.get(signal) or self.groups.get(group)

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return self.model_dump()


class OwnersSettings(Frozen):
    """The ``[owners]`` section: how much time there is.

    Parameters
    ----------
    capacity : dict of str to float
        Owner to the hours they have for plays until the next run.
    """

    capacity: dict[str, Hours] = Field({})
