"""Sections of the weights report on whether the score behind the weights can be believed."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.wording import count, day, name, percent, plural, share, told
from pipelines.weights.report.words import segment_name, shown_segments

if TYPE_CHECKING:
    from models.measures.metrics import Metrics
    from pipelines.weights.recommend import Recommended

OURS, BASE = "healthscore", "base rate"
# What is said of others, by what was found of ours.
VERDICTS = {"better": "worse than ours", "level": "about as good", "worse": "better than ours"}
# Enough of the accounts that left to lead with; fewer are told last.
MANY = 20


def evidence_sections(recommended: Recommended) -> list[Section]:
    """List what speaks for the score, and what against it."""
    return [
        calibration_section(recommended),
        backtest_section(recommended),
        lead_section(recommended),
        audit_section(recommended),
        quality_section(recommended),
    ]


def calibration_section(recommended: Recommended) -> Section:
    """Tell whether probabilities are true, overall and in each segment."""
    from pipelines.reports.figures.weights import bands_plot, calibration_plot, calibration_top

    evidence, noun = recommended.evidence, recommended.words.noun
    metrics = evidence.metrics
    parts: list[Table | Figure | Text] = []
    if any(band["rows"] for band in evidence.bands):
        parts.append(
            Figure(
                [("", bands_plot(evidence.bands, noun, "bands"))],
                f"What was expected of each band, and the {noun} that followed.",
            )
        )
    tables = evidence.calibration
    if tables:
        top = calibration_top(tables)
        order = [segment for segment in shown_segments(recommended) if segment in tables]
        drawn = [
            (
                segment_name(segment),
                calibration_plot(
                    tables[segment], segment_name(segment).striptags(), top, f"calibration-{place}"
                ),
            )
            for place, segment in enumerate(order)
        ]
        parts.append(
            Figure(
                drawn,
                f"Each dot is a group of accounts of like risk: the {noun} that was expected, and"
                " what happened, with its 90 % interval. Dots on the dashed line were predicted"
                " rightly; above it more happened.",
            )
        )
    rows = [
        [
            segment_name(segment),
            count(one.rows),
            count(one.positives),
            percent(one.expected_rate),
            percent(one.observed_rate),
        ]
        for segment, one in _by_segment(recommended).items()
    ]
    parts.append(
        Table(
            f"Expected and observed rate of {noun} on the dates held out, by segment.",
            ["Segment", ">Rows", f">Cases of {noun}", ">Expected", ">Observed"],
            rows,
        )
    )
    expected, observed = metrics.expected_rate, metrics.observed_rate
    if expected is None or observed is None:
        answer = "No date was held out, so nothing can be said."
    else:
        holds = not metrics.calibration_in_the_large.excludes(0)
        answer = (
            f"On dates it had not seen the model expected {percent(expected)} {noun}, and"
            f" {percent(observed)} happened: "
            + ("within what chance explains." if holds else "more apart than chance explains.")
        )
    return Section("calibration", "Do the probabilities hold?", answer, parts)


def _by_segment(recommended: Recommended) -> dict[str, Metrics]:
    evidence = recommended.evidence
    own = evidence.segment_metrics
    ordered = [segment for segment in shown_segments(recommended) if segment in own]
    return {EVERYBODY: evidence.metrics, **{segment: own[segment] for segment in ordered}}


def backtest_section(recommended: Recommended) -> Section:
    """Tell whether it was right on one later date after another, and who was better."""
    title, found = "Was it right on later dates?", recommended.evidence.backtest
    if found is None:
        return Section(
            "backtest",
            title,
            "No backtest was logged, so this is known of the held-out dates alone; 'healthscore"
            " backtest' tests one date after another.",
        )
    measures = {row["contender"]: row for row in found["measures"]}
    ours, versus = measures.get(OURS), {row["contender"]: row for row in found["versus"]}
    answer = "The backtest measured nothing over all dates."
    if ours is not None:
        peers = [row for contender, row in versus.items() if contender != BASE]
        beaten = sum(row["verdict"] == "worse" for row in peers)
        answer = (
            f"Taught again at {plural(found['origins'], 'point')} in time and asked about what came"
            f" next, the model ranked {percent(ours['auc'])} of the pairs of accounts right"
        )
        if peers:
            answer += (
                "; no other method was shown to be better."
                if not beaten
                else f"; {beaten} of {plural(len(peers), 'other method')} did better."
            )
        else:
            answer += "."
    tested = "–".join(
        day(date.fromisoformat(found[end][:10])) for end in ("tested_from", "tested_until")
    )
    rows = []
    for contender, row in measures.items():
        compared = versus.get(contender)
        rows.append(
            [
                Markup("Healthscore") if contender == OURS else name(contender),
                share(row["auc"], row["auc_low"], row["auc_high"]),
                _loss(row["log_loss"], row["log_loss_low"], row["log_loss_high"]),
                "" if compared is None else VERDICTS[compared["verdict"]],
            ]
        )
    return Section(
        "backtest",
        title,
        answer,
        [
            Table(
                f"Every method on the same later dates ({tested}), logged on"
                f" {day(found['logged_at'])}. The error of the probabilities is the log loss: less"
                " is better.",
                ["Method", ">Pairs ranked right", ">Error of the probabilities", "Against ours"],
                rows,
            )
        ],
    )


def lead_section(recommended: Recommended) -> Section:
    """Tell how early the score warned."""
    from pipelines.reports.figures.weights import lead_plot

    title, past = "How early does it warn?", recommended.words.past
    lead = recommended.evidence.lead
    rows = lead[lead["events"] > 0] if len(lead) else lead
    if recommended.good:
        return Section(
            "lead",
            title,
            f"There is nothing to warn of: {recommended.words.noun} is good news.",
        )
    if not len(rows):
        return Section(
            "lead", title, "It cannot be shown: no outcome on a day of its own had a score before."
        )
    known = rows.to_dict("records")
    leading = [row for row in known if row["events"] >= MANY] or known
    earliest = max(leading, key=lambda row: row["days_before"])
    latest = min(leading, key=lambda row: row["days_before"])
    answer = (
        f"{percent(latest['at_risk'], 0)} of the accounts that {past} were at-risk"
        f" {latest['days_before']} days before"
    )
    if earliest is not latest:
        answer += (
            f", {percent(earliest['at_risk'], 0)} already {earliest['days_before']} days before"
        )
    table = Table(
        f"Scores some days before accounts {past}. The counts fall with the days, for not every"
        " account had a score so early.",
        ["Before", ">Accounts", ">Median score", ">At-risk (90 % interval)", ">Watch", ">Healthy"],
        [
            [
                f"{row['days_before']} days",
                count(row["events"]),
                count(row["median_score"]),
                share(row["at_risk"], row["at_risk_low"], row["at_risk_high"], 0),
                percent(row["watch"], 0),
                percent(row["healthy"], 0),
            ]
            for row in known
        ],
    )
    figure = Figure(
        [("", lead_plot(lead, past, "lead"))],
        "Share that was at-risk, with its 90 % interval.",
    )
    return Section("lead", title, f"{answer}.", [figure, table])


def audit_section(recommended: Recommended) -> Section:
    """Tell whether errors fall evenly on accounts that differ in a sensitive attribute."""
    title, audit = "Is it fair to everybody?", recommended.evidence.audit
    if audit.empty:
        return Section(
            "audit",
            title,
            "Nothing was audited: the configuration names no sensitive attribute. What it would"
            " name never enters the score.",
        )
    flagged = audit[audit["flagged"]]
    tested = audit[~audit["too_small"]]
    attributes = plural(audit["attribute"].nunique(), "sensitive attribute")
    answer = (
        f"{attributes} never enter the score, and errors fall evenly on the"
        f" {plural(len(tested), 'group')} that are large enough to tell."
        if flagged.empty
        else f"{plural(len(flagged), 'group')} of {attributes} fare differently: ask why before you"
        " act on a score there."
    )
    rows = [
        [
            Markup("{}: {}").format(name(row["attribute"]), name(row["level"])),
            count(row["rows"]),
            percent(row["false_negative_rate"]),
            percent(row["false_positive_rate"]),
            percent(row["expected_rate"]),
            percent(row["observed_rate"]),
            told(("Differs: " if row["flagged"] else "") + (row["why"] or "Even")),
        ]
        for row in audit.to_dict("records")
    ]
    noun = recommended.words.noun
    return Section(
        "audit",
        title,
        answer,
        [
            Table(
                f"Errors by group. Missed: had {noun} and was not flagged. False alarm: was flagged"
                " and had none.",
                ["Group", ">Rows", ">Missed", ">False alarm", ">Expected", ">Observed", "Finding"],
                rows,
            )
        ],
    )


def quality_section(recommended: Recommended) -> Section:
    """Tell whether the data is sound."""
    tables = recommended.evidence.quality
    problems = sum(len(table["problems"]) for table in tables)
    answer = (
        f"{plural(len(tables), 'table was', 'tables were')} read and nothing was found wrong."
        if not problems
        else f"{plural(len(tables), 'table was', 'tables were')} read and"
        f" {plural(problems, 'thing')} found that may matter."
    )
    rows = [
        [
            name(table["table"]),
            count(table["rows"]),
            count(table["accounts"]),
            _from_until(table["first"], table["last"]),
            told("; ".join(table["problems"]) or "none"),
        ]
        for table in tables
    ]
    parts = (
        [
            Table(
                "What was read of each table.",
                ["Table", ">Rows", ">Accounts", "Dates", "Problems"],
                rows,
            )
        ]
        if rows
        else []
    )
    return Section("quality", "Is the data sound?", answer, parts)


def _from_until(first: Any, last: Any) -> str:
    return "no dates" if first is None or last is None else f"{day(first)} to {day(last)}"


def _loss(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or math.isnan(value):
        return "not known"
    if low is None or high is None:
        return f"{value:.4f}"
    return f"{value:.4f} ({low:.4f} to {high:.4f})"
