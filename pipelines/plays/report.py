"""The plays page: what each play does to churn, and how far that can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipelines.plays.words import (
    ALL_ACCOUNTS,
    VERDICTS,
    base_of,
    calls_words,
    doubts,
    headline,
    places,
    range_words,
    sentence,
    settling,
    standing_words,
    trial_words,
)
from pipelines.project.settings.score import MAIN
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.rendering import render
from pipelines.reports.segments import segment_words
from pipelines.reports.wording import UNKNOWN, count, day, money, name, percent, plural

if TYPE_CHECKING:
    from models.plays.result import PlayResult
    from pipelines.plays.effects import PlaysReport
    from pipelines.plays.savable import Savable, SavableFirst
    from pipelines.project.project import Project


def default_file(project: Project) -> Path:
    """Return where the page goes when nobody says: beside the configuration."""
    further = "" if project.outcome_name == MAIN else f"-{project.outcome_name}"
    return project.folder / f"plays{further}.html"


def plays_html(report: PlaysReport, first: SavableFirst | None = None) -> str:
    """Write the page as one self-contained page without script.

    Parameters
    ----------
    report : PlaysReport
        What plays do.
    first : SavableFirst or None
        Whom to call first; None where no scores were issued.
    """
    calls = [] if first is None else [calls_section(first)]
    return render(
        "plays.html.j2",
        page_title="What plays do",
        headline=headline(report),
        made=day(report.made_at.date()),
        basis=basis(report),
        answers=answers(report),
        sections=[*calls, *sections(report)],
        notes=report.notes,
    )


def basis(report: PlaysReport) -> str:
    """Say what was learnt from."""
    return (
        f"{count(report.rows)} rows of {plural(report.accounts, 'account')} on"
        f" {plural(report.dates, 'date')}; churn within {plural(report.horizon_days, 'day')}"
    )


def answers(report: PlaysReport) -> list[tuple[str, str, str]]:
    """List per play its name, what it does, and what would settle it."""
    told = [
        (one.play, range_words(one.low, one.high, 100), "settled by an experiment")
        for one in report.trials
    ]
    tried = {one.play for one in report.trials}
    for play in report.plays:
        whole = play.everywhere
        if play.play in tried:
            continue
        if whole is None:
            told.append((play.play, "not enough to compare", play.why_not))
            continue
        said = range_words(whole.low, whole.high, base_of([whole]))
        if whole.verdict == "no comparison":
            said = VERDICTS[whole.verdict]
        told.append((play.play, said, settling(play) or VERDICTS[whole.verdict]))
    return told


def sections(report: PlaysReport) -> list[Section]:
    """Arrange a section per play and what all rest on."""
    return [
        *(_play(report, play, f"play-{number}") for number, play in enumerate(report.plays)),
        _method(report),
    ]


def calls_section(first: SavableFirst) -> Section:
    """Arrange whom to call first."""
    rows = [
        [
            _called(call),
            name(call.owner) if call.owner else "",
            name(segment_words(call.segment)),
            percent(call.probability),
            money(call.arr),
            name(call.play) if call.play else "",
            f"{money(call.kept)} ({money(call.kept_low)} to {money(call.kept_high)})"
            if call.play
            else UNKNOWN,
            f"{call.hours:g}",
        ]
        for call in first.calls
    ]
    columns = ["Account", "Owner", "Segment", ">Risk", ">ARR", "Play", ">Keeps", ">Hours"]
    return Section(
        "calls",
        "Who to call first",
        f"{calls_words(first)}.",
        [
            Table(f"Accounts by scores of {day(first.as_of)}.", columns, rows),
            Text(f"Of all accounts {standing_words(first)}."),
        ],
    )


def _called(call: Savable) -> Markup:
    if call.name is None:
        return name(call.account_id)
    return Markup("{} <small>{}</small>").format(name(call.name), name(call.account_id))


def _play(report: PlaysReport, play: PlayResult, key: str) -> Section:
    whole = play.everywhere
    if whole is None:
        return Section(key, name(play.play), f"Not enough to compare: {play.why_not}.")
    from pipelines.reports.figures.plays import effects_plot

    told = places(play)
    lines = [one for _, one in told]
    base = base_of(lines)
    labels = [ALL_ACCOUNTS, *(_label(place) for place, _ in told[1:])]
    drawn = effects_plot(
        [str(Markup(label).striptags()) for label in labels],
        [(base * one.low, base * one.effect, base * one.high) for one in lines],
        [base * one.naive for one in lines],
        f"Change in churned accounts of {base:,}",
        key,
    )
    rows = [
        [
            label,
            count(one.treated),
            percent(one.with_play),
            percent(one.without),
            f"{base * one.low:+.1f} to {base * one.high:+.1f}".replace("-", "−"),
            percent(one.overlap, 0),
            VERDICTS[one.verdict],
        ]
        for label, one in zip(labels, lines, strict=True)
    ]
    caption = (
        "What is known of each segment: the dates on which it was given, churn of those accounts,"
        " and what it had been without. The change is a 90 % interval; like accounts is the share"
        " of those given it that have any."
    )
    columns = [
        ">Given it",
        ">Churned",
        ">Without it",
        f">Change of {base:,}",
        ">Like accounts",
        "Verdict",
    ]
    answer = sentence(whole, report)
    further = settling(play)
    return Section(
        key,
        name(play.play),
        f"{answer}." + (f" {further}." if further else ""),
        [
            Figure(
                [("", drawn)],
                "Left of the line fewer churn. The diamond is the plain difference, which takes"
                " accounts chosen for their risk for an effect.",
            ),
            Table(caption, ["Segment", *columns], rows),
            *(Text(f"{doubt}.") for doubt in doubts(play)),
        ],
    )


def _label(place: str) -> str:
    return name(place)


def _method(report: PlaysReport) -> Section:
    texts = [
        *(f"{trial_words(trial)}; that stands before any comparison." for trial in report.trials),
        "Each date on which an account was given a play is held against dates on which accounts of"
        " like signals, contract, history of plays and risk were left alone. Both the risk had"
        " nobody acted and the chance of being given the play are learnt from other accounts, and"
        " the result is right if either is.",
        f"A play counts when it was made within {plural(report.within_days, 'day')} of the date."
        f" Churn counts from day {report.landmark} on, by which nine of ten were made;"
        f" {count(report.gone_before)} rows were gone by then and are left out. On"
        f" {count(report.later)} rows somebody acted later: they count as left alone, which makes"
        " effects look smaller.",
        "Effects of segments are drawn toward each other, and of plays toward none, as far as the"
        " evidence is thin. One end of an interval also allows for reasons that nobody recorded:"
        " they are taken to choose accounts as the recorded ones do, a third as strongly.",
        "Only leaving some accounts alone on purpose settles what intervals cannot.",
    ]
    return Section(
        "method",
        "How this was found",
        "By comparing like with like, and by saying where there is nothing alike.",
        [Text(text) for text in texts],
    )
