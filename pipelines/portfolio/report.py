"""The portfolio page: an issued run for people who decide whom to call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipelines.portfolio.sections import (
    bands_table,
    calls_section,
    matured_section,
    parts_section,
)
from pipelines.portfolio.words import figures, headline, last_day, stake_words
from pipelines.project.settings.score import MAIN
from pipelines.reports.pieces import Section, Table, Text
from pipelines.reports.rendering import render
from pipelines.reports.wording import day, name

if TYPE_CHECKING:
    from pipelines.portfolio.data import PortfolioReport
    from pipelines.project.project import Project


def default_file(project: Project) -> Path:
    """Return where the page goes when nobody says: beside the configuration."""
    further = "" if project.outcome_name == MAIN else f"-{project.outcome_name}"
    return project.folder / f"portfolio{further}.html"


def portfolio_html(report: PortfolioReport) -> str:
    """Write the portfolio page as one self-contained page without script.

    Parameters
    ----------
    report : PortfolioReport
        From :func:`pipelines.portfolio.data.portfolio_report`.

    Returns
    -------
    str
        HTML; :func:`pipelines.reports.page_file.write_page` puts it into a file.
    """
    return render("portfolio.html.j2", **portfolio_context(report))


def portfolio_context(report: PortfolioReport) -> dict[str, object]:
    """Arrange what the template asks for."""
    summed, words = report.portfolio, stake_words(report.portfolio.outcome)
    sections = [calls_section(report)]
    if summed.segments:
        sections.append(parts_section(report, by_size=False))
    if summed.sizes:
        sections.append(parts_section(report, by_size=True))
    sections += [matured_section(report), method_section(report), versions_section(report)]
    return {
        "page_title": f"Portfolio: {words.noun}, {day(summed.as_of)}",
        "headline": headline(report),
        "noun": words.noun,
        "as_of": day(summed.as_of),
        "outcome": report.outcome_name,
        "window": f"{day(report.window[0])} to {day(last_day(report))}",
        "prior": report.prior,
        "foretells": report.foretells,
        "outdated": report.fresh.note,
        "figures": figures(report),
        "bands": bands_table(report),
        "notes": report.notes,
        "sections": sections,
    }


def method_section(report: PortfolioReport) -> Section:
    """Tell in plain words what the figures are, and what they are not."""
    words, window = stake_words(report.portfolio.outcome), report.window
    texts = [
        f"Chance of {words.noun}. Each account has a probability to {words.verb} between"
        f" {day(window[0])} and {day(last_day(report))}. It was learnt from accounts of the past"
        " and corrected until as many of them did as it says.",
        "Intervals. In 9 of 10 such forecasts what comes should lie between the two ends. They"
        " hold chance, which is large where few large accounts decide, and that the probabilities"
        " may be too high or too low together, as far as they were on dates the model had not"
        " seen." + ("" if report.spread is not None else " The latter is not known here."),
        "Earlier forecasts. Scores that were issued count as a forecast only if their model had"
        " learnt nothing from after their date. The interval of a date on which the model was"
        " tested is made from the other such dates.",
        f"What is left out. An account that is gone before {day(window[0])} is in none of the"
        " sums, nor are accounts that have yet to come."
        if words.verb == "churn"
        else "What is left out. Accounts that have yet to come are in none of the sums.",
        "What this cannot tell. Reasons are what the score rests on, not what causes the outcome:"
        " a call helps only if it changes what made the account act so.",
    ]
    if report.arr is not None:
        texts.insert(1, f"{words.stake}. {_of_money(words.verb)}")
    return Section(
        "method",
        "How to read this page",
        f"It predicts how many accounts and how much ARR will see {words.noun}, and not whether a"
        " given account will.",
        [Text(_led(text)) for text in texts],
    )


def _of_money(verb: str) -> str:
    said = (
        "The probability times the ARR of the account: twelve times its monthly recurring revenue"
        " on the date."
    )
    if verb != "churn":
        return f"{said} By how much the ARR of an account will change is not predicted."
    return (
        f"{said} Over many accounts these add up to what will come; one account keeps all of its"
        " ARR or none."
    )


def _led(text: str) -> Markup:
    first, _, rest = text.partition(". ")
    return Markup("<strong>{}.</strong> {}").format(first, rest)


def versions_section(report: PortfolioReport) -> Section:
    """Tell which scores these are."""
    summed = report.portfolio
    rows = [
        ["Scores of", f"{summed.as_of}"],
        ["Issued", f"{report.issued_at:%Y-%m-%d %H:%M} UTC, revision {report.revision}"],
        ["Model version", name(summed.model_version)],
        ["Model trained", name(report.created_at)],
        ["Outcome", name(report.outcome_name)],
    ]
    return Section(
        "versions",
        "Versions",
        "Issued scores never change: the same run gives the same page until more is known.",
        [Table("What this page was made from.", ["What", "Which"], rows)],
    )
