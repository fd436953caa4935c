"""What a training writes beside its model: the scale of scores, and settings to compare it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.project.project import Project

if TYPE_CHECKING:
    from models.scoring.scale import ScaleSettings


def run_parameters(project: Project) -> dict[str, object]:
    """List the settings worth comparing between runs."""
    settings = project.settings
    return {
        "outcome": settings.outcome.kind,
        "horizon_days": settings.outcome.horizon_days,
        "lead_days": settings.outcome.lead_days,
        "segments": ", ".join(settings.segments.columns),
        "seed": settings.training.seed,
    }


def scale_settings(
    project: Project, base_rate: float, term_anchors: tuple[float, ...] = ()
) -> ScaleSettings:
    """Fill what the configuration leaves open from base rates, to three digits.

    Rounded before training, so that the champion and the configuration say the same.

    Parameters
    ----------
    project : Project
        The configuration.
    base_rate : float
        Rate of the outcome where the anchor is to lie.
    term_anchors : tuple of float
        Rates by kind of term; they move with the anchor where that is set.
    """
    from models.scoring.scale import ScaleSettings

    settings = project.settings
    given = ScaleSettings(**settings.score.scale_of(settings.outcome))
    if not 0 < base_rate < 1:
        return given
    filled = given.scale(_three_digits(base_rate))
    moved = _odds(filled.anchor_probability) / _odds(_three_digits(base_rate))
    usual = [moved * _odds(rate) for rate in term_anchors]
    set_anchors = settings.score.anchors
    return ScaleSettings(
        anchor_probability=_three_digits(filled.anchor_probability),
        at_risk_from=_three_digits(filled.at_risk_from),
        watch_from=_three_digits(filled.watch_from),
        good=filled.good,
        term_anchors=(set_anchors or tuple(_three_digits(odds / (1 + odds)) for odds in usual))
        if term_anchors
        else (),
    )


def _odds(probability: float) -> float:
    return probability / (1 - probability)


def _three_digits(probability: float) -> float:
    return float(f"{probability:.3g}")
