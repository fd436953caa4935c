"""The ``[monitor]`` and ``[alert]`` sections: when drift counts, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from features.tables.mapping import Frozen

if TYPE_CHECKING:
    from models.drift.decision import DriftPolicy

Told = Literal["ok", "watch", "retrain", "broken-feed"]
REFERENCE_MARK = "${"


class MonitorSettings(Frozen):
    """The ``[monitor]`` section; :class:`models.drift.decision.DriftPolicy` says what for.

    Parameters
    ----------
    watch_chance, retrain_chance : float
        Chance of a false alarm per check that is accepted for each.
    watch_excess, retrain_excess : float
        Population stability index beyond chance from which a signal's drift counts.
    watch_weight, retrain_weight : float
        Share of the champion's weight that must be concerned.
    lasting_days : int
        Days after which drift that every check noticed needs to be half as large.
    rate_change, slope_change : float
        How far off matured outcomes must be to call for retraining.
    auc_fall : float
        Fall of the expected AUC that is worth a word.
    cool_down_days : int
        Days after a training, promoted or not, in which there is no other.
    maximum_age_days : int
        Age of a champion at which it is retrained whatever was found.
    min_matured_outcomes : int
        Matured outcomes that a verdict on calibration needs.
    """

    watch_chance: float = Field(0.05, gt=0, lt=1)
    retrain_chance: float = Field(0.01, gt=0, lt=1)
    watch_excess: float = Field(0.02, ge=0, allow_inf_nan=False)
    retrain_excess: float = Field(0.1, ge=0, allow_inf_nan=False)
    watch_weight: float = Field(0.005, gt=0, lt=1)
    retrain_weight: float = Field(0.1, gt=0, lt=1)
    lasting_days: int = Field(28, ge=1)
    rate_change: float = Field(0.25, ge=0, allow_inf_nan=False)
    slope_change: float = Field(0.25, ge=0, allow_inf_nan=False)
    auc_fall: float = Field(0.02, ge=0, allow_inf_nan=False)
    cool_down_days: int = Field(30, ge=0)
    maximum_age_days: int = Field(365, ge=1)
    min_matured_outcomes: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maximum_age_days <= self.cool_down_days:
            raise ValueError(
                f"maximum_age_days must exceed cool_down_days, and is {self.maximum_age_days}"
                f" against {self.cool_down_days}; raise the one or lower the other"
            )
        return self

    @property
    def policy(self) -> DriftPolicy:
        """The policy of the decision."""
        from models.drift.decision import DriftPolicy

        return DriftPolicy(**self.model_dump())


class AlertSettings(Frozen):
    """The ``[alert]`` section: who is told of a decision. Nobody is by default.

    Parameters
    ----------
    webhook : str or None
        Address that a JSON object is posted to; ``${NAME}`` takes it from the environment, which
        is where an address that is a secret belongs.
    command : tuple of str
        A program and its arguments, run without a shell, that reads the same object on its
        standard input.
    secret_env : str or None
        Name of the environment variable that holds the secret a webhook's messages are signed
        with; the secret itself is never in a file.
    on : tuple of str
        Decisions that are told.
    retries : int
        Further tries after one that failed, each after twice the wait.
    timeout_seconds : float
        How long a try may take.
    """

    webhook: str | None = Field(None, repr=False)
    command: tuple[str, ...] = Field((), repr=False)
    secret_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    on: tuple[Told, ...] = ("watch", "retrain", "broken-feed")
    retries: int = Field(3, ge=0, le=10)
    timeout_seconds: float = Field(10.0, gt=0, le=120)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.webhook is not None and not self.webhook.startswith(REFERENCE_MARK):
            refuse_other_address(self.webhook)
        if self.secret_env is not None and self.webhook is None:
            raise ValueError(
                "secret_env signs what is posted to a webhook, and there is none; add webhook or"
                " take secret_env out"
            )
        if self.command and not self.command[0].strip():
            raise ValueError("command must begin with a program, and its first word is empty")
        return self


def refuse_other_address(address: str) -> None:
    """Refuse what cannot be posted to, without saying it: it may be a secret.

    Raises
    ------
    ValueError
        When it is no HTTP address with a host.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in address):
        raise ValueError(
            "webhook must be an address that starts with https:// or http:// and a host, or"
            " ${NAME} for one in the environment; correct it"
        )
