"""Sections of the weights report on signals: what carries a group, what some tell alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from features.catalog import EVERYBODY
from models.measures.estimate import Estimate
from pipelines.reports.pieces import Section, Table, Text
from pipelines.reports.wording import count, name, percent, plural, score, share, told
from pipelines.weights.evidence_referrals import AloneAndBeside
from pipelines.weights.report.words import segment_name, shown_segments, signal_labels

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.weights.evidence_ratings import RatingEvidence
    from pipelines.weights.recommend import Recommended

# The heaviest signals; those beyond them hardly move a score.
SHOWN = 15
# What rounds to no percent carries nothing.
LEAST = 0.5
UNKNOWN = "not enough evidence"
AGAINST = Text(
    "Where a signal points the other way, look whether it measures what you think before you trust"
    " either side."
)
AGREES = {True: "Yes", False: "No", None: "Not enough evidence"}


def signal_sections(recommended: Recommended) -> list[Section]:
    """List what is known of signals."""
    return [
        carriers_section(recommended),
        directions_section(recommended),
        ratings_section(recommended),
        referrals_section(recommended),
    ]


class Carrier(NamedTuple):
    """A signal with its share of its group, in percent."""

    group: str
    signal: str
    weight: float


def _carriers(lines: pd.DataFrame) -> list[Carrier]:
    return list(map(Carrier, lines["group"], lines["signal"], lines["weight"]))


def carriers_section(recommended: Recommended) -> Section:
    """Tell which signals carry each group."""
    title, carriers = "Which signals carry each measure?", recommended.evidence.carriers
    overall = carriers[carriers["segment"] == EVERYBODY] if len(carriers) else carriers
    if not len(overall):
        return Section("carriers", title, "No signal moves the model's estimate.")
    labels, rows = signal_labels(recommended), []
    leading: dict[str, Carrier] = {}
    for group, lines in overall.groupby("group", sort=False):
        ordered = _carriers(lines)
        leading[str(group)] = ordered[0]
        rows.append([name(group), *_carried(ordered, labels)])
    parts: list[Table | Text] = [
        Table(
            "All accounts: the heaviest signals of each group, with their share of the group.",
            ["Group", "Carried most by", "Then by"],
            rows,
        )
    ]
    different = []
    for segment in shown_segments(recommended)[1:]:
        own = carriers[carriers["segment"] == segment]
        for line in _carriers(own.drop_duplicates("group")):
            first = leading.get(line.group)
            if first is not None and first.signal != line.signal:
                different.append(
                    [
                        segment_name(segment),
                        name(line.group),
                        _carrier(line, labels),
                        name(labels[first.signal]),
                    ]
                )
    if different:
        parts.append(
            Table(
                "Segments in which another signal carries a group most.",
                ["Segment", "Group", "Carried most by", "Among all accounts"],
                different,
            )
        )
    heaviest = max(leading.values(), key=lambda line: line.weight)
    answer = Markup("No signal carries more of its group than {}: {} of {}.").format(
        name(labels[heaviest.signal]), _part(heaviest.weight), name(heaviest.group)
    )
    return Section("carriers", title, answer, parts)


def _part(weight: float) -> str:
    return percent(weight / 100, 0)


def _carrier(line: Carrier, labels: dict[str, str]) -> Markup:
    return Markup("{} ({})").format(name(labels[line.signal]), _part(line.weight))


def _carried(ordered: list[Carrier], labels: dict[str, str]) -> list[Markup]:
    others = [_carrier(line, labels) for line in ordered[1:] if line.weight >= LEAST]
    return [_carrier(ordered[0], labels), Markup(", ").join(others) or Markup("no other")]


def directions_section(recommended: Recommended) -> Section:
    """Tell whether signals point the way they were declared to."""
    title, found = "Do signals point the way we thought?", recommended.evidence.directions
    if not len(found):
        return Section("directions", title, "No signal has a declared healthy direction.")
    lines = found.to_dict("records")
    against = [line for line in lines if line["agrees"] is False]
    agree = sum(line["agrees"] is True for line in lines)
    silent = len(lines) - agree - len(against)
    answer = (
        f"Of {plural(len(lines), 'signal')} with a declared healthy direction, {agree} were found"
        f" to point that way, {len(against)} the other way, and for {silent} there is not enough"
        " evidence."
    )
    labels = signal_labels(recommended)
    others = [line for line in lines if line["agrees"] is not False][:SHOWN]
    rows = [
        [
            name(labels[line["signal"]]),
            name(line["group"]),
            f"{line['declared']} is healthy",
            UNKNOWN if line["learnt"] == UNKNOWN else f"{line['learnt']} was healthy",
            AGREES[line["agrees"]],
            f"{score(line['weight'])} ({score(line['low'])} to {score(line['high'])})",
        ]
        for line in [*against, *others]
    ]
    return Section(
        "directions",
        title,
        answer,
        [
            *([AGAINST] if against else []),
            Table(
                "Signals that point the other way, then the heaviest others.",
                ["Signal", "Group", "Declared", "Learnt", "Agree", ">Weight in percent"],
                rows,
            ),
        ],
    )


def ratings_section(recommended: Recommended) -> Section:
    """Tell how ratings by people fared."""
    title, found = "How did ratings by people fare?", recommended.evidence.ratings
    if found is None:
        return Section("ratings", title, "There are no ratings by people to judge.")
    rows = [
        ["Ratings", count(found.ratings)],
        ["Raters", count(found.raters)],
        ["Accounts rated", count(found.accounts)],
        ["Rows in which a rating is known", percent(found.rated_share)],
        [
            "Spread between raters",
            f"{found.spread:.2f} levels on a scale from {score(found.lowest)} to"
            f" {score(found.highest)}",
        ],
        ["Share of the differences that is who rated", percent(found.share_of_variance)],
    ]
    for label, one in (
        ("Pairs ranked right by the rating alone", found.rating),
        (f"Pairs ranked right by {found.objective} alone, same accounts", found.measured),
    ):
        if one is not None:
            rows.append([label, share(one.auc, one.low, one.high)])
    return Section(
        "ratings",
        title,
        _rating_answer(found),
        [Text(told(found.sentence)), Table("Ratings by people.", ["What", ">Found"], rows)],
    )


def _rating_answer(found: RatingEvidence) -> str:
    if found.rating is None or found.rating.auc is None:
        return "There are ratings, but what they predict could not be measured."
    alone = f"ratings alone ranked {percent(found.rating.auc)} of the pairs of accounts right"
    if found.measured is None or found.ahead.value is None:
        return f"{alone.capitalize()}, where a coin ranks half."
    other = f"the measure of {found.objective} {percent(found.measured.auc)}"
    if found.ahead.is_above(0):
        return f"People see more than the numbers: {alone}, {other}."
    if found.ahead.is_below(0):
        return f"What customers do tells more than what we think of them: {alone}, {other}."
    return f"Ratings tell about as much as what customers do: {alone}, {other}."


def referrals_section(recommended: Recommended) -> Section:
    """Tell whether referrals or surveys foretell more."""
    title, found = "Referrals or surveys: which tells more?", recommended.evidence.referrals_vs_nps
    if not found:
        return Section("referrals", title, "There is neither a referral nor a survey to compare.")
    compared = [one for one in found if one["ahead"] is not None and one["group"] != "referrals"]
    if not compared:
        answer = Markup(
            "Only one side has data: {} ranked {} of the pairs of accounts right."
        ).format(name(found[0]["label"]), percent(found[0]["auc"]))
    else:
        answer = _which(compared[0])
    rows = [
        [
            name(one["label"]),
            count(one["rows"]),
            share(one["auc"], one["low"], one["high"]),
            share(one["shared_auc"], one["shared_low"], one["shared_high"]),
            _beside(one),
        ]
        for one in found
    ]
    return Section(
        "referrals",
        title,
        answer,
        [
            Table(
                "Each signal alone: of two accounts, one with the outcome and one without, how"
                " often it tells them apart; 50 % is chance.",
                [
                    "Signal",
                    ">Rows in which it is known",
                    ">Pairs ranked right",
                    ">Where both are known",
                    ">The other side there",
                ],
                rows,
            )
        ],
    )


def _which(one: AloneAndBeside) -> Markup:
    """Say which of a survey and the referrals ranked better where both are known."""
    survey, referrals = name(one["label"]), name(one["other_label"] or "")
    shares = (percent(one["shared_auc"]), percent(one["other_auc"]))
    ahead = Estimate(one["ahead"], one["ahead_low"], one["ahead_high"])
    if not ahead.excludes(0):
        return Markup(
            "{} and {} tell about as much: they ranked {} and {} of the pairs of accounts right,"
            " which may be chance."
        ).format(referrals, survey, *reversed(shares))
    better, worse = (survey, referrals) if (ahead.value or 0) > 0 else (referrals, survey)
    first, second = shares if (ahead.value or 0) > 0 else tuple(reversed(shares))
    return Markup(
        "{} tells more than {}: {} of the pairs of accounts ranked right against {}."
    ).format(better, worse, first, second)


def _beside(one: AloneAndBeside) -> Markup:
    if one["other_label"] is None:
        return Markup("no other side")
    return Markup("{}: {}").format(
        name(one["other_label"]), share(one["other_auc"], one["other_low"], one["other_high"])
    )
