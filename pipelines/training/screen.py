"""Training screen: metrics on unseen dates, bands and weights of a champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from pipelines.reports.segments import ALL, segment_words
from pipelines.reports.terminal.console import (
    band_text,
    figure,
    percent,
    plain,
    print_warnings,
    table_of,
)

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from models.measures.metrics import BandRow
    from models.weights.certainty import WeightCertainty
    from pipelines.training.train import Trained

SEGMENTS_ABREAST = 3


def show_trained(console: Console, trained: Trained) -> None:
    """Print how the champion did on dates it had not seen."""
    result, words = trained.result, trained.words
    metrics = result.metrics.to_dict()
    counts = result.counts
    console.print(Text(f"Champion: version {trained.version}", style="bold"))
    console.print(
        Text(
            f"Taught with {counts['rows']:,} rows of {counts['accounts']:,} accounts,"
            f" {counts['positives']:,} of which {words.past}; judged on"
            f" {counts['holdout_rows']:,} unseen rows, {counts['holdout_positives']:,} of which"
            f" {words.past}"
        )
    )
    prior = result.model.prior
    console.print(Text(shapes_sentence(result.choice) if prior is None else prior.sentence(words)))
    show_metrics(console, metrics)
    if prior is not None:
        console.print(Text(first_caveat(words), style="bold yellow"))
    elif not result.metrics.enough_evidence:
        console.print(
            Text(
                f"There is not enough evidence that behaviour predicts {words.noun} here. Do not"
                " act on these scores or weights.",
                style="bold red",
            )
        )
    show_bands(console, result.bands)
    if result.metrics.enough_evidence or prior is not None:
        show_weights(console, result.model.weights, result.model.certainty)
    if prior is not None:
        console.print(Text(prior.by_group()))
    print_warnings(console, trained.warnings)


def first_caveat(words: OutcomeWords) -> str:
    """Say what a first model is good for."""
    return (
        f"There were too few outcomes to prove what predicts {words.noun}: use these scores as you"
        " would the scorecard they start from, and train again when more have matured."
    )


def shapes_sentence(choice: Mapping[str, Any]) -> str:
    """Say which shapes the margin is made of, and what weighing them gained.

    Examples
    --------
    >>> shapes_sentence({"n_rounds": 40, "tree_share": 0.25, "tree_rounds": 80, "gain": 0.0012})
    'Shapes: 75 % backbone with 40 rounds of trees, 25 % plain trees with 80; log loss on later
    dates 0.0012 below the better one alone'
    """
    share, gain = choice["tree_share"], choice["gain"]
    backbone = f"{1 - share:.0%} backbone with {choice['n_rounds']} rounds of trees"
    trees = f"{share:.0%} plain trees with {choice['tree_rounds']}"
    return (
        f"Shapes: {backbone}, {trees}; log loss on later dates"
        f" {figure(abs(gain), 4)} {'below' if gain >= 0 else 'above'} the better one alone"
    ).replace("%", " %")


def show_metrics(console: Console, metrics: dict[str, Any]) -> None:
    """Print the hold-out figures."""
    console.print(
        Text(
            f"AUC within a date {figure(metrics['auc'])} ({figure(metrics['auc_low'])} to"
            f" {figure(metrics['auc_high'])}) · log loss {figure(metrics['log_loss'], 4)}, base"
            f" rate alone {figure(metrics['log_loss_base'], 4)} · calibration error"
            f" {figure(metrics['ece'], 4)} · top-decile lift"
            f" {figure(metrics['top_decile_lift'], 1)}"
        )
    )
    console.print(
        Text(
            f"AUC of behaviour among accounts of like age and plan"
            f" {figure(metrics['auc_behaviour'])} ({figure(metrics['auc_behaviour_low'])} to"
            f" {figure(metrics['auc_behaviour_high'])})"
        )
    )


def show_bands(console: Console, bands: Sequence[BandRow]) -> None:
    """Print what each band has meant on the hold-out."""
    table = table_of("Band", ">rows", ">positives", ">expected", ">observed", "90 % interval")
    for band in bands:
        observed = band["observed_rate"]
        table.add_row(
            band_text(band["band"]),
            f"{band['rows']:,}",
            f"{band['positives']:,}",
            percent(band["expected_rate"]),
            percent(observed),
            f"{percent(band['low'])} to {percent(band['high'])}" if band["rows"] else "–",
        )
    console.print(table)


def show_weights(
    console: Console, weights: Mapping[str, Mapping[str, float]], certainty: WeightCertainty
) -> None:
    """Print the weight of each signal group per segment, a few segments side by side."""
    groups = list(dict.fromkeys(group for shares in weights.values() for group in shares))
    segments = list(weights)
    for first in range(0, len(segments), SEGMENTS_ABREAST):
        abreast = segments[first : first + SEGMENTS_ABREAST]
        table = table_of(
            "Share of the score", *(f">{plain(segment_words(one, ALL), 40)}" for one in abreast)
        )
        for group in groups:
            table.add_row(group, *(_weight(weights, certainty, one, group) for one in abreast))
        console.print(table)
    console.print(
        Text("Shares with 90 % intervals; dim with a question mark: not enough evidence.", "dim")
    )


def _weight(
    weights: Mapping[str, Mapping[str, float]],
    certainty: WeightCertainty,
    segment: str,
    group: str,
) -> Text:
    share = weights[segment].get(group)
    if share is None:
        return Text("–")
    sure = certainty.groups[segment][group]
    text = f"{share:.0f} % ({sure.low:.0f}–{sure.high:.0f})"
    return Text(f"{text}  ") if sure.enough_evidence else Text(f"{text} ?", "dim")
