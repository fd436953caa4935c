"""The parts of the drift report: what to repair, what moved, how good the model still is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.monitor.words import (
    FAULTS,
    STATUS,
    change,
    fault_since,
    moved_name,
    segment_name,
    since_words,
)
from pipelines.reports.labels import labels_of
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.wording import count, day, name, percent, plural, share, told

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeWords
    from models.drift.statistics import Drift
    from pipelines.monitor.monitor import Monitored

MOST_FIGURES, MOST_ROWS, MOST_CHECKS = 6, 25, 12


def faults_section(checked: Monitored) -> Section | None:
    """Tell what is wrong with the feeds and how to repair it."""
    faults = checked.decision.faults
    if not faults:
        return None
    rows = [
        [
            FAULTS[fault.kind],
            name(fault.table or "any"),
            fault_since(fault),
            told(fault.sentence),
        ]
        for fault in faults
    ]
    return Section(
        "repair",
        "What to repair",
        f"{plural(len(faults), 'feed fault')} stand in the way: nothing is learnt from such data.",
        [Table("Faults of the data feeds.", ["What", "Table", "Last good day", "Repair"], rows)],
    )


def moved_section(checked: Monitored) -> Section:
    """Tell what moved, where, since when and how much it matters."""
    labels = labels_of(checked.model.signals)
    # The weightiest first; the score and the mix have no weight of their own.
    drifts = sorted(checked.noticed, key=lambda drift: -drift.impact)
    if not drifts:
        return Section(
            "moved",
            "What moved",
            "Nothing that matters moved further than chance and season move it.",
        )
    rows = [
        [
            moved_name(drift, labels),
            segment_name(drift.segment),
            change(drift),
            since_words(checked.since.get((drift.name, drift.segment))),
            "all of it" if drift.name in ("score", "segment") else percent(drift.weight),
            f"{drift.movement.psi:.2f}",
            f"{drift.movement.psi_expected:.2f}",
        ]
        for drift in drifts[:MOST_ROWS]
    ]
    parts: list[Table | Figure | Text] = [
        Table(
            "What moved, what matters most first: between the last date without and the first with"
            " it. Weight is its share of the health score in that segment; how far is the stability"
            " index, 0 where nothing moved, and by chance what it would be anyway.",
            ["What", "Where", "How", "Between", ">Weight", ">How far", ">By chance"],
            rows,
        )
    ]
    if len(drifts) > MOST_ROWS:
        parts.append(Text(f"{len(drifts) - MOST_ROWS} more are not listed; --json has them all."))
    drawn = _shares(checked, drifts, labels)
    if drawn:
        parts.append(
            Figure(
                drawn,
                "Share of accounts: bars are today, lines are the dates the model learnt from.",
            )
        )
    names = {drift.name for drift in drifts}
    return Section(
        "moved",
        "What moved",
        f"{plural(len(names), 'thing')} moved, in {plural(len(drifts), 'place')}.",
        parts,
    )


def _shares(
    checked: Monitored, found: list[Drift], labels: dict[str, str]
) -> list[tuple[str, str]]:
    """Draw each of the weightiest once, where it matters most."""
    from pipelines.reports.figures.drift import bin_labels, shares_plot

    reference, current = checked.kept.reference, checked.findings.current
    drawn: dict[str, tuple[str, str]] = {}
    for drift in found:
        if drift.name in drawn or drift.name not in current.tables or len(drawn) >= MOST_FIGURES:
            continue
        counts, place = reference.counts[drift.name], reference.segments.index(drift.segment)
        label = str(moved_name(drift, labels).striptags())
        where = str(segment_name(drift.segment).striptags())
        svg = shares_plot(
            counts.bins,
            bin_labels(counts.bins),
            counts.table[place].sum(axis=0),
            current.tables[drift.name][place],
            label,
            f"moved-{len(drawn)}",
        )
        drawn[drift.name] = (f"{label}, {where}", svg)
    return list(drawn.values())


def performance_section(checked: Monitored, words: OutcomeWords) -> Section:
    """Tell how good the probabilities promise to be, and how they have done."""
    from pipelines.reports.figures.drift import expected_plot, matured_plot

    findings = checked.findings
    parts: list[Table | Figure | Text] = []
    expected = findings.expected
    if expected is not None and expected.now.auc is not None:
        parts.append(
            Figure(
                [
                    (
                        "",
                        expected_plot(
                            expected.before,
                            expected.now,
                            expected.auc_low,
                            expected.auc_high,
                            "expected",
                        ),
                    )
                ],
                "How well the probabilities themselves promise to tell accounts apart: 1 is"
                " always, 0.5 is by chance. It needs no outcome, and holds as long as they are"
                " right on average.",
            )
        )
    matured = findings.matured
    if matured:
        names = [str(segment_name(one.segment).striptags()) for one in matured]
        parts.append(
            Figure(
                [("", matured_plot(matured, names, words.noun, "matured"))],
                f"What was expected of each segment, and how many {words.past} since.",
            )
        )
        rows = [
            [
                segment_name(one.segment),
                count(one.rows),
                count(one.positives),
                percent(one.expected_rate),
                share(one.observed_rate, one.low, one.high),
                "not known"
                if one.recalibration.slope.value is None
                else f"{one.recalibration.slope.value:.2f}",
            ]
            for one in matured
        ]
        parts.append(
            Table(
                f"Outcomes of {_dates(checked)} since the training. A slope of 1 is right; below it"
                " the probabilities are too bold.",
                [
                    "Segment",
                    ">Rows",
                    f">{words.noun.capitalize()}",
                    ">Expected",
                    ">Observed",
                    ">Slope",
                ],
                rows,
            )
        )
    return Section("performance", "Is the model still right?", _answer(checked, words), parts)


def _dates(checked: Monitored) -> str:
    dates = checked.findings.matured_dates
    if len(dates) == 1:
        return day(dates[0])
    return f"{len(dates)} dates, {day(dates[0])} to {day(dates[-1])}"


def _answer(checked: Monitored, words: OutcomeWords) -> str:
    matured = checked.findings.matured
    if not matured:
        return "No outcome of a date after the training is known yet."
    whole = matured[0]
    inside = whole.low <= whole.expected_rate <= whole.high
    said = f"{percent(whole.expected_rate)} {words.noun} was expected since the training, and"
    happened = f"{said} {percent(whole.observed_rate)} was observed"
    if whole.positives < checked.policy.min_matured_outcomes:
        return f"{happened}: too few to judge by ({plural(whole.positives, 'outcome')})."
    return f"{happened}: as expected." if inside else f"{happened}."


def feeds_section(checked: Monitored) -> Section | None:
    """Tell how new the rows of each table are."""
    feeds = checked.findings.feeds
    if not feeds:
        return None
    rows = [
        [
            name(feed.table),
            "no row" if feed.newest is None else day(feed.newest),
            "" if feed.newest is None else plural((feed.as_of - feed.newest).days, "day"),
            plural(round(feed.usual_gap_days), "day"),
            "stopped" if feed.has_stopped else "flows",
        ]
        for feed in sorted(feeds, key=lambda one: not one.has_stopped)
    ]
    stopped = sum(feed.has_stopped for feed in feeds)
    return Section(
        "feeds",
        "Do the data still come?",
        "Every table has rows as new as it usually has."
        if not stopped
        else f"{plural(stopped, 'table has', 'tables have')} stopped.",
        [
            Table(
                f"Newest row of each table before {day(checked.as_of)}.",
                ["Table", "Newest row", ">Days before", ">Longest gap so far", "State"],
                rows,
            )
        ],
    )


def retrained_section(checked: Monitored) -> Section | None:
    """Tell what came of the retraining."""
    retrained = checked.retrained
    if retrained is None:
        return None
    if retrained.promoted:
        answer = (
            f"Version {retrained.champion} serves in place of version {retrained.before};"
            " 'healthscore rollback' undoes it."
        )
    else:
        answer = f"Version {retrained.champion} goes on serving."
    parts: list[Table | Figure | Text] = [Text(told(reason)) for reason in retrained.reasons]
    if retrained.bands is not None and retrained.bands.moves:
        rows = [[move.before, move.after, count(move.accounts)] for move in retrained.bands.moves]
        parts.append(
            Table(
                f"Accounts in another band on {day(retrained.bands.as_of)} because of the model"
                " alone.",
                ["Band before", "Band now", ">Accounts"],
                rows,
            )
        )
    return Section("retrained", "What came of retraining", answer, parts)


def history_section(checked: Monitored) -> Section:
    """List the latest checks, this one first."""
    checks = [checked.record, *checked.past][:MOST_CHECKS]
    rows = [
        [
            day(record.as_of),
            STATUS.get(record.status, name(record.status)),
            name(record.model_version),
            count(len({signal for signal, _ in record.drifted})),
            _came_of(record.challenger, record.promoted),
            f"{record.made_at:%Y-%m-%d %H:%M}",
        ]
        for record in checks
    ]
    earlier = len(checked.past)
    return Section(
        "history",
        "Earlier checks",
        "This is the first check of this model."
        if not earlier
        else f"{plural(earlier, 'earlier check')} of it are on record.",
        [
            Table(
                "Checks, the newest first.",
                ["Looked at", "Decision", "Version", ">Moved", "Retraining", "Made (UTC)"],
                rows,
            )
        ],
    )


def _came_of(challenger: str | None, promoted: bool | None) -> str:
    if promoted is None:
        return ""
    if challenger is None:
        return "nothing new to judge on"
    return f"version {challenger} {'promoted' if promoted else 'not promoted'}"
