"""Sections of the forecast page: quarters, waterfall, parts, renewals, earlier forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipelines.portfolio.forecast.words import (
    ACCOUNTS,
    GROSS,
    NET,
    RENEWAL,
    TERMS,
    came,
    part_words,
    share,
    sum_of,
    until,
)
from pipelines.portfolio.sections import band_name
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.wording import amount, count, day, money, name, percent, plural, score

if TYPE_CHECKING:
    from pipelines.portfolio.forecast.data import RetentionReport
    from pipelines.portfolio.forecast.renewals import Renewal, RenewalWeek
    from pipelines.portfolio.forecast.sums import PartForecast

MOST_PARTS, MOST_WEEKS, LISTED_WEEKS = 40, 60, 13


def quarters_table(report: RetentionReport) -> Table:
    """Arrange retention by period."""
    has_money = report.has_money
    columns = ["Period", *([f">{GROSS}", f">{NET}"] if has_money else [])]
    columns += [f">{ACCOUNTS}", f">{RENEWAL}"]
    rows = []
    for one in report.whole.periods:
        kept = one.retention
        row = [one.period.label]
        row += [share(kept.gross), share(kept.net)] if has_money else []
        rows.append([*row, share(kept.accounts), share(one.renewal_rate)])
    whole = report.whole.whole
    total = ["All of it", *([share(whole.gross), share(whole.net)] if has_money else [])]
    rows.append([*total, share(whole.accounts), "–"])
    return Table(
        "What is kept of what is there when each period opens, with 90 % intervals.", columns, rows
    )


def waterfall_section(report: RetentionReport) -> Section:
    """Show how the ARR of today comes to that of the last day."""
    periods, last = report.whole.periods, day(until(report))
    closing = periods[-1].money["closing"].expected
    rows = [
        [
            one.period.label,
            money(one.money["opening"].expected),
            *(sum_of(one.money[name]) for name in ("lost", "smaller", "larger")),
            money(one.money["closing"].expected),
        ]
        for one in periods
    ]
    columns = ["Period", ">Opening ARR", ">Lost", ">Smaller", ">Larger", ">Closing ARR"]
    table = Table(
        "ARR of the accounts of today. Lost went with accounts that left, smaller is what accounts"
        " that stay pay less, larger what others pay more; 90 % intervals.",
        columns,
        rows,
    )
    return Section(
        "waterfall",
        "Where does the ARR go?",
        f"{money(report.whole.arr)} of today is expected to be {money(closing)} on {last}; accounts"
        " that have yet to come are not in it.",
        [_waterfall(report), table],
    )


def _waterfall(report: RetentionReport) -> Figure:
    from pipelines.reports.figures.waterfall import waterfall_plot

    periods = report.whole.periods
    moved = {
        name: sum(one.money[name].expected for one in periods)
        for name in ("lost", "smaller", "larger")
    }
    svg = waterfall_plot(
        periods[0].money["opening"].expected,
        moved["lost"],
        moved["smaller"],
        moved["larger"],
        money,
        "waterfall-figure",
    )
    return Figure([("", svg)], "From the ARR of today to that of the last day, as expected.")


def parts_section(report: RetentionReport, parts: Sequence[PartForecast], what: str) -> Section:
    """Show retention by segment or owner."""
    has_money = report.has_money
    columns = [what, ">Accounts", *([">ARR", f">{GROSS}", f">{NET}"] if has_money else [])]
    columns.append(f">{ACCOUNTS}")
    rows = []
    for part in parts[:MOST_PARTS]:
        row = [name(part_words(part.name, what)), count(part.accounts)]
        if has_money:
            row += [money(part.arr), share(part.whole.gross), share(part.whole.net)]
        rows.append([*row, share(part.whole.accounts)])
    key = f"by-{what.lower()}"
    worst = min(parts[:MOST_PARTS], key=_kept)
    told = Markup("{} is expected to keep least: {}.").format(
        name(part_words(worst.name, what)) if worst.name else "Nobody", percent(_kept(worst))
    )
    left = len(parts) - MOST_PARTS
    texts = [Text(f"{left} smaller ones are left out here and are in the workbook.")] * (left > 0)
    return Section(
        key,
        f"By {what.lower()}",
        told,
        [Table(f"From today to {day(until(report))}, with 90 % intervals.", columns, rows), *texts],
    )


def _kept(part: PartForecast) -> float:
    kept = part.whole.gross or part.whole.accounts
    return kept.expected


def renewals_section(report: RetentionReport) -> Section:
    """Show what comes up for renewal, week by week."""
    weeks, has_money = report.weeks, report.has_money
    if not weeks:
        return Section(
            "renewals", "What comes up for renewal?", "No contract is known to renew by then.", []
        )
    columns = ["Week of", ">Contracts", *([">ARR"] if has_money else [])]
    columns += [f">{band}" for band in weeks[0].bands]
    columns += [">Expected loss", "Most at stake"]
    rows = [_week_row(week, has_money=has_money) for week in weeks[:LISTED_WEEKS]]
    contracts = sum(week.accounts for week in weeks)
    come = "comes" if contracts == 1 else "come"
    arr = f", {money(sum(week.arr or 0.0 for week in weeks))} ARR," if has_money else ""
    return Section(
        "renewals",
        "What comes up for renewal?",
        f"{plural(contracts, 'contract')}{arr} {come} up for renewal by {day(until(report))}.",
        [
            _calendar(report),
            Table(
                (
                    f"The next {len(rows)} weeks in which contracts renew, later ones are in the"
                    " workbook"
                    if len(rows) < len(weeks)
                    else "Weeks in which contracts renew"
                )
                + ": contracts in each band of health"
                + (", with their ARR" if has_money else "")
                + "; expected loss is the chance that an account leaves times what it pays.",
                columns,
                rows,
            ),
        ],
    )


def _week_row(week: RenewalWeek, *, has_money: bool) -> list[str]:
    row = [day(week.monday), count(week.accounts)]
    row += [money(week.arr)] if has_money else []
    for accounts, arr in week.bands.values():
        row.append(
            f"{count(accounts)} ({money(arr)})" if has_money and accounts else count(accounts)
        )
    lost = money(week.expected_lost) if has_money else amount(week.expected_lost)
    named = Markup("").join(Markup("<li>{}</li>").format(_named(one)) for one in week.first)
    return [*row, lost, Markup("<ul>{}</ul>").format(named)]


def _named(one: Renewal) -> Markup:
    arr = f", {money(one.arr)}" if one.arr is not None else ""
    return Markup("{} {} ({}){}, {}").format(
        name(one.name or one.account_id),
        band_name(one.band),
        score(round(one.score)),
        arr,
        day(one.renews),
    )


def _calendar(report: RetentionReport) -> Figure:
    from pipelines.reports.figures.waterfall import calendar_plot

    has_money = report.has_money
    weeks = report.weeks[:MOST_WEEKS]
    bands = list(weeks[0].bands)
    svg = calendar_plot(
        [week.monday for week in weeks],
        bands,
        [
            [arr if has_money else float(accounts) for accounts, arr in week.bands.values()]
            for week in weeks
        ],
        "ARR up for renewal" if has_money else "Contracts up for renewal",
        money if has_money else count,
        "calendar-figure",
    )
    return Figure([("", svg)], "What renews in each week, by band of health today.")


def held_section(report: RetentionReport) -> Section:
    """Compare earlier forecasts with what came."""
    if not report.held:
        return Section(
            "held",
            "Did earlier forecasts hold?",
            "No quarter is over yet that scores were issued before.",
            [
                Text(
                    "Only scores that were issued before a quarter, by a model that had learnt"
                    " nothing from after its date, make a forecast that can be held against it."
                )
            ],
        )
    is_money = any(one.gross is not None for one in report.held)
    held = sum(one.held for one in report.held)
    columns = ["Scores of", "To the end of", ">Accounts", f">Expected {GROSS.lower()}", ">Came"]
    columns += [f">Expected {NET.lower()}", ">Came"] if is_money else []
    if not is_money:
        columns[3] = f">Expected {ACCOUNTS.lower()}"
    rows = []
    for one in report.held:
        told = one.gross if is_money else one.accounts_kept
        row = [day(one.as_of), one.label, count(one.accounts), share(told), came(one)]
        rows.append([*row, *([share(one.net), percent(one.net_came)] if is_money else [])])
    return Section(
        "held",
        "Did earlier forecasts hold?",
        f"Of {plural(len(rows), 'earlier forecast')} {held} held what came within the interval;"
        " about 9 in 10 should.",
        [
            Table(
                "Made of scores as they were issued and of what was over on their date, against"
                " what came.",
                columns,
                rows,
            )
        ],
    )


def method_section(report: RetentionReport) -> Section:
    """Say what the terms mean and how the figures come about."""
    quarters, losses = report.learnt_from
    texts = [(term, meaning) for term, meaning in TERMS if report.has_money or "ARR" not in meaning]
    texts += [
        (
            "Rates",
            f"They were learnt from {plural(quarters, 'past quarter')} with"
            f" {plural(losses, 'loss', 'losses')}: how often accounts were lost, paid less or paid"
            " more where their contract renewed, ran on, or could be left at will; by segment and"
            " size of account, drawn to what holds of all where little was seen.",
        ),
        (
            "Scores",
            "Within those rates an account's score says who is likelier to go: most in the next"
            " quarter, less in each after it, as far as scores of earlier dates were seen to last.",
        ),
        (
            "Intervals",
            "In 9 of 10 such forecasts what comes should lie between the two ends. They hold what"
            " accounts share: how far whole quarters strayed from their rates before, and how"
            " surely the rates are known; and beside it the chance of each account.",
        ),
        (
            "What is left out",
            "Accounts that have yet to come, and what nothing in the past resembles: a new"
            " price list, a new rival.",
        ),
    ]
    return Section(
        "method",
        "How to read this page",
        "It predicts what is kept of the accounts of today, and not which of them will leave.",
        [Text(Markup("<strong>{}.</strong> {}").format(term, said)) for term, said in texts],
    )
