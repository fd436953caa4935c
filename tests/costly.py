"""How often a property is tried whose every example takes long: seldom in a whole run."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def costly(examples: int, *, shrinks: bool = False) -> settings:
    """Try few examples in a whole run, and ten times as many with another profile than "ci".

    Rows that are made by chance are not made fewer: a failure names the account and the column.
    """
    is_whole_run = settings.get_current_profile_name() == "ci"
    return settings(
        max_examples=examples if is_whole_run else 10 * examples,
        phases=[phase for phase in Phase if shrinks or phase != Phase.shrink],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
