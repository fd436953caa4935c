"""Curve screen: one account's risk within a month up to a year."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.reports.terminal.console import bar, percent, plain, table_of

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from pipelines.scoring.curves.curve import AccountCurve

SIGNALS = 5


def show_curve(console: Console, curve: AccountCurve, words: OutcomeWords) -> None:
    """Print the risk at every horizon, and the signals that move it most within a year."""
    console.print(
        Text.assemble(
            (f"{plain(curve.account_id)} on {curve.as_of}: ", "bold"),
            f"{percent(curve.probability_if_due)} {words.noun} had it to decide now",
        )
    )
    if curve.timing is not None:
        console.print(Text(f"The contract {curve.timing}"))
    told = table_of("Within", f">{words.noun}", ">90 % interval", ">usual", "")
    most = max(horizon.high for horizon in curve.horizons) or 1.0
    for horizon in curve.horizons:
        told.add_row(
            f"{horizon.days} days",
            percent(horizon.probability),
            f"{percent(horizon.low)} to {percent(horizon.high)}",
            percent(horizon.baseline),
            bar(-horizon.probability, most),
        )
    console.print(told)
    signals = table_of("Signal", *(f">{horizon.days} days" for horizon in curve.horizons))
    last = curve.horizons[-1].signals
    for name in sorted(last, key=lambda name: -abs(last[name]))[:SIGNALS]:
        parts = [f"{100 * horizon.signals[name]:+.1f}" for horizon in curve.horizons]
        signals.add_row(plain(curve.labels[name], 40), *parts)
    console.print(signals)
    console.print(
        Text(
            f"Percentage points that signals add to what is usual, the {SIGNALS} largest; model"
            f" version {plain(curve.model_version, 20)}"
        )
    )
