"""What stops a training: a signal that gives the outcome away and that nobody allowed."""

from __future__ import annotations

from features.errors import DataError, sample
from pipelines.project.project import Project
from pipelines.project.rows import LabelledRows


def refuse_leaks(project: Project, rows: LabelledRows) -> None:
    """Stop before a model is registered that knows the outcome from a signal written after it.

    Raises
    ------
    DataError
        When a signal gives the outcome away and ``[training] allowed_signals`` does not name it.
    """
    from models.backtest.leak_gate import giveaways

    settings = project.settings.training
    suspects = giveaways(
        rows.table,
        rows.signals,
        maturity_days=rows.maturity_days,
        is_dated=rows.is_dated,
        seed=settings.seed,
    )
    leaks = [suspect for suspect in suspects if suspect.signal not in settings.allowed_signals]
    if not leaks:
        return
    allowed = ", ".join(f'"{leak.signal}"' for leak in leaks)
    named = sample([leak.signal for leak in leaks], 6)
    know = "knows" if len(leaks) == 1 else "know"
    raise DataError(
        f"No model was registered, as {named} {know} the outcome too well: {leaks[0].why}"
        " (A column that is overwritten says what is so today, not what was so then.) Take the"
        " column out of [tables], or, if it was known before the outcome, allow it with [training]"
        f" allowed_signals = [{allowed}]"
    )
