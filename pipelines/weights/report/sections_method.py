"""Sections of the weights report on how it was done, and with what."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipelines.reports.pieces import Section, Table, Text
from pipelines.reports.wording import count, day, name, percent
from pipelines.weights.report.words import signal_labels

if TYPE_CHECKING:
    from pipelines.weights.recommend import Recommended

VERSIONS = {
    "healthscore": "Healthscore",
    "model_version": "Model version",
    "run_id": "Training run",
    "config_fingerprint": "Fingerprint of the configuration",
    "data_fingerprint": "Fingerprint of the data",
}


def within(recommended: Recommended) -> str:
    """Say how far ahead outcomes are looked for; nothing where the data carry no dates."""
    days = recommended.model.maturity_days
    return f" within {count(days)} days" if days else ""


def method_section(recommended: Recommended) -> Section:
    """Tell in plain words how weights were learnt, and what a measure is."""
    noun, past = recommended.words
    counts = recommended.counts
    first, last = (date.fromisoformat(counts[end]) for end in ("first_date", "last_date"))
    texts = [
        f"What was learnt from. On {count(counts['dates'])} dates between {day(first)} and"
        f" {day(last)} each account was looked at as it was known then, and later whether it"
        f" {past}{within(recommended)}. That gives"
        f" {count(counts['rows'])} rows of {count(counts['accounts'])} accounts,"
        f" {count(counts['positives'])} of them with {noun}.",
        "Grades. Each signal of a measure is graded from 0 to 100 among the accounts of a segment,"
        " unless the configuration says how; a measure is the mean of its signals' grades. What is"
        " not known counts as the segment's mean, so it neither helps nor harms.",
        f"Weights. Those are learnt that would have told accounts that {past} from the others best,"
        " never below 0. A segment with few outcomes is pulled toward all segments, and all of"
        " them toward the weights in use today: where evidence is thin nothing changes.",
        "Intervals. What outcomes point to is where the right weight lies with a probability of"
        " 90 %. A weight stays as it is where today's lies inside; the others move, and are rounded"
        " to whole percentages that sum to 100.",
        "Not enough evidence. No weight changes where past outcomes would be no surprise under"
        " today's weights, or where behaviour was not shown to predict the outcome at all.",
        "Health score. The score behind this report uses every signal and its turns, not"
        " straight grades times weights. It shows how much a scorecard leaves on the table.",
        "What this cannot tell. Weights say what predicts an outcome, not what causes it: calling"
        " an account with few logins helps only if the calls change what made it log in less.",
    ]
    labels = signal_labels(recommended)
    rows = [
        [
            name(note.name),
            Markup(", ").join(name(labels[signal.name]) for signal in note.signals) or "no data",
            percent(note.known, 0),
        ]
        for note in recommended.measures
    ]
    return Section(
        "method",
        "How was this done?",
        f"Past accounts that {past} were compared with those that did not, as both were known"
        " beforehand.",
        [
            *(Text(_led(text)) for text in texts),
            Table(
                "Measures, the signals they are graded by, and how often a grade is known.",
                ["Measure", "Graded by", ">Known"],
                rows,
            ),
        ],
    )


def _led(text: str) -> Markup:
    first, _, rest = text.partition(". ")
    return Markup("<strong>{}.</strong> {}").format(first, rest)


def versions_section(recommended: Recommended) -> Section:
    """Tell what has to be the same to get this report again."""
    rows = [[VERSIONS.get(key, key), name(value)] for key, value in recommended.versions.items()]
    rows += [
        ["Outcome", name(recommended.outcome)],
        ["Model trained", name(recommended.created_at)],
        ["Report made", f"{recommended.made_at:%Y-%m-%d %H:%M} UTC"],
    ]
    return Section(
        "versions",
        "Versions",
        "The same versions, configuration and data give the same report.",
        [Table("What this report was made with.", ["What", "Version"], rows)],
    )
