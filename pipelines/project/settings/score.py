"""The ``[score]`` section and the ``[outcomes.NAME]`` sections: one score per outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from features.errors import sample
from features.outcomes.settings import OF_ONE_KIND, WINDOW_SETTINGS, OutcomeSettings
from features.tables.mapping.mapping import Frozen

MAIN = "main"
"""What the outcome of ``[outcome]`` is called beside further ones."""
Reading = Literal["decision", "window"]
DECISION, WINDOW = "decision", "window"
NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


class ScoreSettings(Frozen):
    """The ``[score]`` section: what a score means.

    The first training fills these in; from then on they stay, so that a score means the same
    after every retraining.

    Parameters
    ----------
    anchor_probability : float or None
        Probability of score 50.
    at_risk_from, watch_from : float or None
        Probabilities from which an account is in the band; for outcomes that are bad news.
    likely_from, possible_from : float or None
        The same for outcomes that are good news.
    term_anchors : dict of str to float, or None
        Probability of score 50 by kind of term, where a decision is about a longer time than the
        outcome window: ``at_will``, ``quarter``, ``half_year``, ``year``, ``years``.
    reading : {"decision", "window"} or None
        Which risk of churn the score tells: had the account to decide in the outcome window, or in
        the window as contracts stand. When left out, at a decision, but in the window where the
        anchor was frozen before the two were told apart.
    """

    anchor_probability: float | None = Field(None, gt=0, lt=1)
    at_risk_from: float | None = Field(None, gt=0, lt=1)
    watch_from: float | None = Field(None, gt=0, lt=1)
    likely_from: float | None = Field(None, gt=0, lt=1)
    possible_from: float | None = Field(None, gt=0, lt=1)
    term_anchors: dict[str, float] | None = None
    reading: Reading | None = None

    @property
    def anchors(self) -> tuple[float, ...]:
        """The anchors by kind of term, in the order of the kinds; empty where none are set."""
        from models.scoring.timing.decisions import KINDS

        given = self.term_anchors or {}
        return tuple(given[name] for name in KINDS if given)

    @field_validator("term_anchors")
    @classmethod
    def _complete(cls, given: dict[str, float] | None) -> dict[str, float] | None:
        from models.scoring.timing.decisions import KINDS

        if given is not None and (
            set(given) != set(KINDS) or not all(0 < rate < 1 for rate in given.values())
        ):
            raise ValueError(
                f"[score] term_anchors must name a probability above 0 and below 1 for each of"
                f" {', '.join(KINDS)}, found {sample(sorted(given.items()))}; correct it or take it"
                " out and train again"
            )
        return given

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for first, second in (("at_risk_from", "watch_from"), ("likely_from", "possible_from")):
            high, low = getattr(self, first), getattr(self, second)
            if low is not None and high is not None and low > high:
                raise ValueError(
                    f"{second} must not be above {first} and is {low} against {high}; correct one"
                    " of them"
                )
        return self

    def refuse_other_direction(self, outcome: OutcomeSettings, section: str) -> None:
        """Refuse cuts that belong to outcomes of the other direction.

        Raises
        ------
        ValueError
            When there is one; nothing else is raised so that pydantic names the file.
        """
        good = ("likely_from", "possible_from")
        bad = ("at_risk_from", "watch_from")
        right, wrong = (good, bad) if outcome.is_good else (bad, good)
        for name in wrong:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"[{section}] {name} does not fit: {outcome.words.noun} is"
                    f" {'good' if outcome.is_good else 'bad'} news, whose bands are cut by"
                    f" {' and '.join(right)}; rename it or take it out"
                )

    def scale_of(self, outcome: OutcomeSettings) -> dict[str, Any]:
        """Return what is set as the arguments of :class:`models.scoring.scale.ScaleSettings`."""
        first, second = self.likely_from, self.possible_from
        if not outcome.is_good:
            first, second = self.at_risk_from, self.watch_from
        return {
            "anchor_probability": self.anchor_probability,
            "at_risk_from": first,
            "watch_from": second,
            "good": outcome.is_good,
        }


class FurtherOutcome(OutcomeSettings):
    """An ``[outcomes.NAME]`` section: a further outcome, with a score of its own.

    Parameters
    ----------
    score : ScoreSettings
        What this score means.
    """

    score: ScoreSettings = ScoreSettings()

    def outcome(self) -> OutcomeSettings:
        """Return it as ``[outcome]`` would hold it."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"score"}}
        return OutcomeSettings(**given)


def with_inherited(raw: Any) -> Any:
    """Fill what further outcomes leave out from ``[outcome]``, before anything is checked.

    What belongs to one kind alone is not handed to an outcome of another kind.

    Raises
    ------
    ValueError
        When a further outcome has an impossible name.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("outcomes"), Mapping):
        return raw
    main = raw.get("outcome", {})
    main = main if isinstance(main, Mapping) else {}
    known = {key: value for key, value in main.items() if key in OutcomeSettings.model_fields}
    for name in raw["outcomes"]:
        if not NAME.fullmatch(name) or name == MAIN:
            raise ValueError(
                f"[outcomes] names an outcome {sample([name])}, and a name is up to 60 letters,"
                f" digits, _ or - other than {MAIN}, which is the one of [outcome]; rename it"
            )
    filled = {name: _filled(own, known) for name, own in raw["outcomes"].items()}
    return {**raw, "outcomes": filled}


def _filled(own: Any, main: Mapping[str, Any]) -> Any:
    if not isinstance(own, Mapping):
        return own
    same_kind = own.get("kind", main.get("kind", "churn")) == main.get("kind", "churn")
    alone = OF_ONE_KIND if own.get("kind") != "renewal" else (*OF_ONE_KIND, *WINDOW_SETTINGS)
    inherited = {key: main[key] for key in main if same_kind or key not in alone}
    return {**inherited, **own}
