"""The weights report: what to change in a scorecard, why, and what it would have done."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.rendering import render
from pipelines.reports.wording import count, day, name, percent, plural, score
from pipelines.weights.report.sections_evidence import evidence_sections
from pipelines.weights.report.sections_method import method_section, versions_section, within
from pipelines.weights.report.sections_replay import effect_figures, points_section, replay_section
from pipelines.weights.report.sections_signals import signal_sections
from pipelines.weights.report.words import (
    changes_of,
    gain_of,
    headline,
    largest_reason,
    pointed_to,
    reason,
    segment_name,
    shown_segments,
    verdict,
)

if TYPE_CHECKING:
    from models.scorecard.advice import SegmentAdvice
    from pipelines.weights.recommend import Recommended


# What reasons speak of.
FIFTHS = Text(
    "Where outcomes point to is the range in which the right weight lies with a probability of"
    " 90 %. The worst and the best fifth are the accounts with the lowest and the highest grades of"
    " a measure."
)


def weights_html(recommended: Recommended) -> str:
    """Write the weights report as one self-contained page without script.

    Parameters
    ----------
    recommended : Recommended
        From :func:`pipelines.weights.recommend.recommend`.

    Returns
    -------
    str
        HTML; see :func:`pipelines.reports.pdf.write_pdf` for paper.
    """
    return render("weights.html.j2", **weights_context(recommended))


def weights_context(recommended: Recommended) -> dict[str, object]:
    """Arrange what the template asks for."""
    counts, words = recommended.counts, recommended.words
    first, last = (date.fromisoformat(counts[end]) for end in ("first_date", "last_date"))
    sections = [
        segments_section(recommended),
        replay_section(recommended),
        points_section(recommended),
        *evidence_sections(recommended),
        *signal_sections(recommended),
        method_section(recommended),
        versions_section(recommended),
    ]
    return {
        "page_title": f"Weights report: {words.noun}, {day(recommended.made_at)}",
        "headline": headline(recommended),
        "noun": words.noun,
        "made": day(recommended.made_at),
        "outcome": recommended.outcome,
        "learnt_from": (
            f"Learnt from {plural(counts['accounts'], 'account')} on"
            f" {plural(counts['dates'], 'date')} ({day(first)} to {day(last)});"
            f" {words.noun} followed {count(counts['positives'])} of {count(counts['rows'])} times"
        ),
        "is_assumed": recommended.is_assumed,
        "changes": any(recommended.advice[one].changes for one in shown_segments(recommended)),
        "figures": effect_figures(recommended),
        "colour": "green" if recommended.good else "red",
        "overview": overview(recommended),
        "bands": bands_table(recommended),
        "warnings": [warning.rstrip(".") for warning in recommended.warnings],
        "notes": [note.rstrip(".") for note in recommended.evidence.notes],
        "sections": [section for section in sections if section is not None],
    }


def overview(recommended: Recommended) -> Table:
    """List what to change in each segment, why, and what it brings."""
    segments, past = shown_segments(recommended), recommended.words.past
    if segments == [EVERYBODY]:
        return weights_table(recommended, recommended.advice[EVERYBODY])
    colour = "green" if recommended.good else "red"
    rows = []
    for segment in segments:
        advice = recommended.advice[segment]
        cells = [_whom(segment), changes_of(advice), "no change"]
        if advice.changes:
            why = largest_reason(advice, past, recommended.good)
            cells[1] += Markup('<p class="because">{}</p>').format(why)
            cells[2] = gain_of(recommended.effects.get(segment))
        rows.append(cells)
    return Table(
        "Weights in percent, today → recommended (what past outcomes point to). Last: how many more"
        f" accounts that {past} in a year, at the rate of the replayed dates, would have been"
        f" {colour} in time. In brackets are 90 %"
        " intervals.",
        ["Segment", "What to change", f">{colour.capitalize()} in time"],
        rows,
    )


def _whom(segment: str) -> Markup:
    if segment != EVERYBODY:
        return segment_name(segment)
    return Markup('All accounts <span class="aside">one set of weights for everybody</span>')


def bands_table(recommended: Recommended) -> Table:
    """List what the bands of the health score mean."""
    noun = recommended.words.noun
    rows = [
        [
            Markup('<span class="band {0}">{0}</span>').format(band["band"]),
            percent(band["observed_rate"]),
            _one_in(band["observed_rate"]),
            _rates(band["low"], band["high"]),
            count(band["rows"]),
        ]
        for band in recommended.evidence.bands
    ]
    return Table(
        f"Health bands, and the {noun} that was observed"
        f"{within(recommended)} on dates the model had not seen.",
        ["Band", f">Observed {noun}", "In words", "Likely range", ">Rows"],
        rows,
    )


def _rates(low: float | None, high: float | None) -> str:
    return "no rows" if low is None else f"between {percent(low)} and {percent(high)}"


def _one_in(rate: float | None) -> str:
    """Say a rate the way people say it.

    Examples
    --------
    >>> _one_in(0.18), _one_in(0.01), _one_in(0.6), _one_in(0.0), _one_in(None)
    ('about 1 in 6', 'about 1 in 100', 'about 60 in 100', 'none', 'not known')
    """
    if rate is None:
        return "not known"
    if rate == 0:
        return "none"
    return f"about {100 * rate:.0f} in 100" if rate > 0.4 else f"about 1 in {1 / rate:,.0f}"


def segments_section(recommended: Recommended) -> Section:
    """Tell every weight of every segment, with its interval and reason."""
    from pipelines.reports.figures.weights import weights_plot

    parts = []
    segments = shown_segments(recommended)
    for place, segment in enumerate(segments):
        advice = recommended.advice[segment]
        title = segment_name(segment)
        figure = Figure(
            [("", weights_plot(advice, title.striptags(), f"weights-{place}"))],
            "Bars are 90 % intervals. Where the ring lies inside the bar, today's weight may stay.",
        )
        table = weights_table(recommended, advice)
        shown: list[Table | Figure | Text] = [figure] if advice.enough_evidence else []
        if segments != [EVERYBODY]:
            shown.append(table)
        parts.append(
            Section(f"segment-{place}", title, _segment_sentence(recommended, advice), shown)
        )
    changed = sum(recommended.advice[one].changes for one in segments if one != EVERYBODY)
    if segments == [EVERYBODY]:
        one = parts[0]
        return Section("segments", "How sure are we of each weight?", one.sentence, one.parts)
    if not changed:
        answer = "Every segment keeps its weights."
    elif changed == len(segments) - 1:
        answer = f"All {changed} segments need other weights than today's."
    else:
        answer = (
            f"{plural(changed, 'segment needs', 'segments need')} other weights than today's; the"
            " others keep theirs."
        )
    return Section("segments", "What should each weight be?", answer, [FIFTHS], parts)


def _segment_sentence(recommended: Recommended, advice: SegmentAdvice) -> str:
    noun = recommended.words.noun
    base = f"{noun} followed {count(advice.positives)} of {count(advice.rows)} times"
    moved = sum(line.verdict != "keep" for line in advice.advice)
    if not advice.enough_evidence:
        return f"Not enough evidence ({base}): keep every weight."
    if not moved:
        return f"Keep every weight: outcomes do not speak against them ({base})."
    borrowed = (
        " These rows alone would not tell; the advice rests on all segments together."
        if advice.borrowed
        else ""
    )
    return f"Change {moved} of {plural(len(advice.advice), 'weight')} ({base}).{borrowed}"


def weights_table(recommended: Recommended, advice: SegmentAdvice) -> Table:
    """List each weight of a segment: what to do, where outcomes point, and why."""
    rows = [
        [
            name(line.measure),
            verdict(line.verdict),
            score(line.today),
            Markup("<strong>{}</strong>").format(score(line.recommended)),
            "" if line.why == "no data" else pointed_to(line),
            reason(line, recommended.words.past, recommended.good),
        ]
        for line in advice.advice
    ]
    return Table(
        f"Weights in percent: {segment_name(advice.segment).striptags()}.",
        ["Measure", "What to do", ">Today", ">New", "Outcomes point to", "Why"],
        rows,
    )
