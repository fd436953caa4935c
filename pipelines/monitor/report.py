"""The drift report: what moved, where, since when, how much it matters, and what was decided."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipelines.monitor.sections import (
    faults_section,
    feeds_section,
    history_section,
    moved_section,
    performance_section,
    retrained_section,
)
from pipelines.monitor.words import STATUS, figures, headline, rows_words
from pipelines.reports.pieces import Section, Table, Text
from pipelines.reports.rendering import render
from pipelines.reports.wording import day, name, percent, plural

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from pipelines.monitor.monitor import Monitored

MOST_REASONS = 8


def drift_html(checked: Monitored, words: OutcomeWords) -> str:
    """Write the drift report as one self-contained page without script.

    Parameters
    ----------
    checked : Monitored
        From :func:`pipelines.monitor.monitor`.
    words : OutcomeWords
        How people speak of the outcome.

    Returns
    -------
    str
        HTML; :func:`pipelines.reports.page_file.write_page` puts it into a file.
    """
    return render("drift.html.j2", **drift_context(checked, words))


def drift_context(checked: Monitored, words: OutcomeWords) -> dict[str, object]:
    """Arrange what the template asks for."""
    sections = [
        faults_section(checked),
        retrained_section(checked),
        moved_section(checked),
        performance_section(checked, words),
        feeds_section(checked),
        history_section(checked),
        policy_section(checked),
        method_section(),
        versions_section(checked),
    ]
    current = checked.findings.current
    return {
        "page_title": f"Drift report, {day(checked.as_of)}",
        "headline": headline(checked),
        "as_of": day(checked.as_of),
        "outcome": checked.outcome,
        "status": checked.decision.status,
        "looked_at": f"{rows_words(current.rows, current.of)} accounts of {day(checked.as_of)}",
        "learnt_until": day(checked.kept.reference.dates[-1]),
        "figures": figures(checked),
        "reasons": _ended(checked.decision.reasons[:MOST_REASONS]),
        "more_reasons": max(0, len(checked.decision.reasons) - MOST_REASONS),
        "decision": STATUS[checked.decision.status],
        "warnings": _ended((*checked.warnings, *checked.findings.statistics.notes)),
        "sections": [section for section in sections if section is not None],
    }


def _ended(sentences: Iterable[str]) -> list[str]:
    return [f"{sentence.rstrip('.')}." for sentence in sentences]


def policy_section(checked: Monitored) -> Section:
    """Tell by which rules it was decided."""
    policy = checked.policy
    rows = [
        [
            "watch",
            f"a signal of {percent(policy.watch_weight)} of the weight or more moves surely (one"
            f" false alarm in {1 / policy.watch_chance:.0f} checks at most), and its index by"
            f" {policy.watch_excess:g} more than by chance",
        ],
        [
            "retrain",
            f"signals that hold {percent(policy.retrain_weight, 0)} of the weight, or the score,"
            f" move by {policy.retrain_excess:g} more (one false alarm in"
            f" {1 / policy.retrain_chance:.0f} checks at most)",
        ],
        ["retrain", f"half of that, once every check of {policy.lasting_days} days has seen it"],
        [
            "retrain",
            f"{policy.min_matured_outcomes} outcomes or more show the probabilities wrong by a"
            f" factor of the odds of {_factor(policy.rate_change)}, or their slope by"
            f" {policy.slope_change:g}",
        ],
        ["retrain", f"the model is {plural(policy.maximum_age_days, 'day')} old"],
        ["watch, not retrain", f"the last training is less than {policy.cool_down_days} days ago"],
        ["broken feed", "a fault of the data is found: it outranks everything"],
    ]
    return Section(
        "policy",
        "By which rules",
        "The rules are those of [monitor] in the configuration.",
        [Table("Each decision and when it is taken.", ["Decision", "When"], rows)],
    )


def _factor(log_odds: float) -> str:
    return f"{math.exp(log_odds):.2f}"


def method_section() -> Section:
    """Tell in plain words what the figures are, and what they are not."""
    texts = [
        "What is compared. Today's accounts are held against all dates the model learnt from. A"
        " move counts if chance, the season and a trend that was there before do not explain it.",
        "How far. The stability index adds up how much each part of the accounts grew or shrank:"
        " 0 is no change, and the column beside it says what chance alone gives.",
        "What matters. A signal counts by its share of the health score. One that carries nothing"
        " may move as it likes.",
        "Faults and behaviour. Customers change unevenly and little by little. Where everybody has"
        " the same value from one day to the next, or every value is multiplied by the same"
        " number, the feed is at fault: the data are repaired, and nothing is learnt from them.",
        "What this cannot tell. A move says that something changed, not why, and not that scores"
        " are worse; that is what outcomes say once they are known.",
    ]
    return Section(
        "method",
        "How to read this page",
        "It tells whether what the model learnt still holds, as far as data can tell.",
        [Text(_led(text)) for text in texts],
    )


def _led(text: str) -> Markup:
    first, _, rest = text.partition(". ")
    return Markup("<strong>{}.</strong> {}").format(first, rest)


def versions_section(checked: Monitored) -> Section:
    """Tell which model and which data these are."""
    dates = checked.kept.reference.dates
    rows = [
        ["Model version", name(checked.model_version)],
        ["Learnt from", f"{plural(len(dates), 'date')}, {day(dates[0])} to {day(dates[-1])}"],
        ["Tables known until", day(checked.kept.known_until)],
        ["Looked at", Markup("{}, from {}").format(day(checked.as_of), name(checked.source))],
        ["Recorded as", name(checked.record.run_id)],
        ["Outcome", name(checked.outcome)],
    ]
    return Section(
        "versions",
        "Versions",
        "What was found is kept in the registry with the model.",
        [Table("What this page was made from.", ["What", "Which"], rows)],
    )
