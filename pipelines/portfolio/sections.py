"""Sections of the portfolio page: whom to call, bands, parts, what earlier forecasts came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.portfolio.words import foretold, last_day, stake_words, verdict
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.segments import segment_words
from pipelines.reports.wording import (
    amount,
    between,
    count,
    day,
    money,
    name,
    one_decimal,
    percent,
    plural,
    short_day,
    signed_points,
)

if TYPE_CHECKING:
    from pipelines.portfolio.data import PortfolioReport
    from pipelines.portfolio.matured import MaturedForecast
    from pipelines.portfolio.sums import BandSummary, PartSummary
    from pipelines.portfolio.worklist.calls import Call

MOST_DRAWN = 12
NOTHING_TO_ACT_ON = "Nothing that can be acted on stands out."


@dataclass(frozen=True)
class CallColumns:
    """Which columns the calls have, beside those that there always are."""

    owners: bool
    changes: bool
    money: bool
    renewals: bool

    @classmethod
    def of(cls, calls: Sequence[Call], *, has_money: bool) -> Self:
        """Show what is known of any of them."""
        return cls(
            owners=any(call.owner for call in calls),
            changes=any(call.change is not None for call in calls),
            money=has_money,
            renewals=any(call.renewal for call in calls),
        )


def calls_section(report: PortfolioReport) -> Section:
    """Say whom to call first, why, and what to do."""
    words, calls = stake_words(report.portfolio.outcome), report.portfolio.calls
    shown = CallColumns.of(calls, has_money=report.arr is not None)
    by = words.stake if shown.money else f"Chance of {words.noun}"
    columns = ["Account", *(["Owner"] if shown.owners else []), "Band (score)"]
    columns += [">Change"] if shown.changes else []
    columns.append(f">Chance of {words.noun}")
    columns += [">ARR", f">{words.stake}"] if shown.money else []
    columns += ["Renews"] if shown.renewals else []
    columns.append("Why, and what to do" if report.has_plays else "Why")
    parts: list[Table | Text] = [
        Table(
            f"{by}, the largest first. Points say what a reason does to the score; what only tells"
            " who an account is, and when it renews, is no reason.",
            columns,
            [_call_row(call, shown) for call in calls],
        )
    ]
    if not report.has_plays and not report.portfolio.outcome.is_good:
        parts.append(
            Text(
                "To see here what to do about each account, write your plays under [plays] in the"
                " configuration: a signal or a group of signals, and what answers it."
            )
        )
    sentence = "No account was scored." if not calls else _first_sentence(report, calls)
    return Section("calls", words.first, sentence, parts if calls else [])


def _first_sentence(report: PortfolioReport, calls: Sequence[Call]) -> str:
    words, total = stake_words(report.portfolio.outcome), report.arr
    stakes = [call.stake for call in calls if call.stake is not None]
    if total is None or not total.expected:
        share = sum(call.probability for call in calls) / max(report.accounts.expected, 1e-12)
        what = f"of the {amount(report.accounts.expected)} accounts expected to {words.verb}"
    else:
        share = sum(stakes) / total.expected
        what = f"of all ARR expected to {words.verb}"
        if report.portfolio.outcome.kind == "churn":
            what = "of the expected loss"
    those = "This account stands" if len(calls) == 1 else f"These {len(calls)} accounts stand"
    return f"{those} for {percent(share, 0)} {what}."


def _call_row(call: Call, shown: CallColumns) -> list[str]:
    beside = [call.account_id] * (call.name is not None)
    beside += [segment_words(call.segment)] * (call.segment != EVERYBODY)
    who = Markup("{} <small>{}</small>").format(
        name(call.name or call.account_id), Markup(" · ").join(map(name, beside))
    )
    reasons = Markup("").join(Markup("<li>{}</li>").format(name(said)) for said in call.sentences)
    row: list[str] = [who]
    if shown.owners:
        row.append(name(call.owner) if call.owner else Markup("nobody"))
    row.append(Markup("{} ({})").format(band_name(call.band), one_decimal(call.score)))
    if shown.changes:
        row.append("new" if call.change is None else signed_points(call.change))
    row.append(percent(call.probability))
    if shown.money:
        row += [money(call.arr), money(call.stake)]
    if shown.renewals:
        row.append("not known" if call.renewal is None else short_day(call.renewal))
    why = Markup("<ul>{}</ul>").format(reasons) if reasons else Markup(NOTHING_TO_ACT_ON)
    if call.play:
        why += Markup('<span class="play">→ {}</span>').format(name(call.play))
    return [*row, why]


def band_name(band: str) -> Markup:
    """Write a band with its mark."""
    return Markup('<span class="band {0}">{0}</span>').format(band)


def bands_table(report: PortfolioReport) -> Table:
    """Arrange the bands with their money, and what became of such accounts before."""
    summed, words = report.portfolio, stake_words(report.portfolio.outcome)
    has_money = summed.arr is not None
    columns = ["Band", ">Accounts", *([">ARR", ">Share of ARR"] if has_money else [])]
    when = "at decisions" if summed.at_decisions else "before"
    columns += [f">Expected {words.noun}", f">Observed {words.noun} {when}", "Likely range"]
    rows = []
    for band in summed.bands:
        row = [band_name(band.band), count(band.accounts)]
        if has_money:
            row += [money(band.arr), _share(band.arr, summed.arr)]
        row.append(percent(band.expected_rate) if band.accounts else "–")
        rows.append([*row, *_observed(band)])
    return Table(
        f"Accounts by band, by score: {summed.limits}. Observed {words.noun} is what happened to"
        f" accounts of the band on dates the model had not seen{_if_due(summed.at_decisions)}.",
        columns,
        rows,
    )


def _if_due(at_decisions: bool) -> str:
    if not at_decisions:
        return ""
    return (
        ", of those whose contract let them decide: more than is expected of accounts most of which"
        " do not decide soon"
    )


def _observed(band: BandSummary) -> list[str]:
    seen = band.observed
    if not seen or not seen["rows"]:
        return ["not known", "no account was in it"]
    return [percent(seen["observed_rate"]), between(seen["low"], seen["high"], percent)]


def parts_section(report: PortfolioReport, *, by_size: bool) -> Section:
    """Show where the money and the expected loss are: by segment, or by ARR."""
    summed, words = report.portfolio, stake_words(report.portfolio.outcome)
    parts = summed.sizes if by_size else summed.segments
    names = [_size(part.name) if by_size else name(segment_words(str(part.name))) for part in parts]
    label, key = ("ARR of the account", "sizes") if by_size else ("Segment", "segments")
    has_money = summed.arr is not None
    columns = [label, ">Accounts"]
    if has_money:
        columns += [">ARR", ">Share of ARR", f">{words.stake}", ">Share of it"]
    columns += [f">Accounts expected to {words.verb}", f">Expected {words.noun}"]
    rows = []
    for part, called in zip(parts, names, strict=True):
        row = [called, count(part.accounts)]
        if has_money:
            known = part.name is not None or not by_size
            row += [money(part.arr) if known else "not known", _share(part.arr, summed.arr)]
            row += [money(part.expected_arr), _share(part.expected_arr, summed.expected_arr)]
        rate = part.expected_accounts / part.accounts if part.accounts else None
        rows.append([*row, amount(part.expected_accounts), percent(rate)])
    tables: list[Table | Figure] = [
        Table(f"The book by {'size of account' if by_size else 'segment'}.", columns, rows),
        _bands_of(parts, names, label, has_money),
    ]
    if not by_size:
        tables.insert(0, _drawn(parts, [band.band for band in summed.bands], has_money))
    title = "Large accounts or small ones?" if by_size else "Which segments?"
    return Section(key, title, _parts_sentence(report, parts, names, by_size), tables)


def _parts_sentence(
    report: PortfolioReport, parts: Sequence[PartSummary], names: Sequence[str], by_size: bool
) -> Markup:
    words, summed = stake_words(report.portfolio.outcome), report.portfolio
    has_money = summed.expected_arr is not None

    def stake(part: PartSummary) -> float:
        return (part.expected_arr if has_money else part.expected_accounts) or 0.0

    largest = max(range(len(parts)), key=lambda place: stake(parts[place]))
    whole = summed.expected_arr if has_money else summed.expected_accounts
    what = words.within if has_money else f"accounts expected to {words.verb}"
    own = parts[largest]
    book = _share(own.arr, summed.arr) if has_money else _share(own.accounts, summed.accounts)
    return Markup("{} {} {} of the {}, and {} of the {}.").format(
        f"Accounts with an ARR of {names[largest]}" if by_size else names[largest],
        "hold" if by_size else "holds",
        _share(stake(own), whole),
        what,
        book,
        "ARR" if has_money else "accounts",
    )


def _bands_of(
    parts: Sequence[PartSummary], names: Sequence[str], label: str, has_money: bool
) -> Table:
    bands = [band.band for band in parts[0].bands] if parts else []
    rows = [
        [called, *(_in_band(band, has_money) for band in part.bands)]
        for part, called in zip(parts, names, strict=True)
    ]
    what = "Accounts, and their ARR," if has_money else "Accounts"
    return Table(f"{what} in each band.", [label, *(f">{band}" for band in bands)], rows)


def _in_band(band: BandSummary, has_money: bool) -> str:
    number = count(band.accounts)
    return f"{number} ({money(band.arr)})" if has_money and band.accounts else number


def _drawn(parts: Sequence[PartSummary], bands: Sequence[str], has_money: bool) -> Figure:
    from pipelines.reports.figures.portfolio import bands_by_part_plot

    shown = parts[:MOST_DRAWN]
    amounts = [
        [(band.arr or 0.0) if has_money else float(band.accounts) for band in part.bands]
        for part in shown
    ]
    svg = bands_by_part_plot(
        [segment_words(str(part.name)) for part in shown],
        bands,
        amounts,
        "ARR" if has_money else "Accounts",
        money if has_money else count,
        "segments-figure",
    )
    left = f" The {MOST_DRAWN} with most at stake." if len(parts) > MOST_DRAWN else ""
    what = "ARR" if has_money else "Accounts"
    return Figure([("", svg)], f"{what} by segment and band, most at stake at the top.{left}")


def matured_section(report: PortfolioReport) -> Section:
    """Compare earlier forecasts with what happened."""
    words, matured = stake_words(report.portfolio.outcome), report.matured
    if not matured:
        return Section(
            "matured",
            "Did earlier forecasts hold?",
            "No earlier forecast has an outcome that is known yet.",
            [Text(f"This one can be judged after {day(last_day(report))}.")],
        )
    held, known = sum(one.within for one in matured), len(matured)
    columns = ["Date", "Scores", ">Accounts", f">Expected to {words.verb}", ">Happened"]
    has_money = any(one.arr_forecast is not None for one in matured)
    columns += [f">{words.total}", f">{words.came}"] if has_money else []
    table = Table(
        "Forecasts with 90 % intervals, against what happened. Accounts that were gone before the"
        " days that it is of are left out.",
        columns,
        [_matured_row(one, has_money) for one in matured],
    )
    texts: list[Text] = []
    if not all(one.issued for one in matured):
        texts.append(
            Text(
                "Where it says tested, no scores of that date were issued: the model was judged on"
                " the date before it was registered, without having seen what happened."
            )
        )
    return Section(
        "matured",
        "Did earlier forecasts hold?",
        f"On {held} of {plural(known, 'earlier date')} what happened lay within the interval;"
        " about 9 in 10 should.",
        [_matured_figure(report, has_money), table, *texts],
    )


def _matured_row(one: MaturedForecast, has_money: bool) -> list[str]:
    row = [
        day(one.as_of),
        "issued" if one.issued else "tested",
        count(one.accounts),
        foretold(one.forecast, is_money=False),
        verdict(one, is_money=False),
    ]
    if has_money and one.arr_forecast is not None:
        row += [foretold(one.arr_forecast, is_money=True), verdict(one, is_money=True)]
    elif has_money:
        row += ["not known", "not known"]
    return row


def _matured_figure(report: PortfolioReport, has_money: bool) -> Figure:
    from pipelines.reports.figures.portfolio import matured_plot

    words, matured = stake_words(report.portfolio.outcome), report.matured
    drawn = [
        (
            "Accounts" if has_money else "",
            matured_plot(
                [short_day(one.as_of) for one in matured],
                [(one.forecast.low, one.forecast.expected, one.forecast.high) for one in matured],
                [one.happened for one in matured],
                f"Accounts that {words.past}",
                count,
                "matured-accounts",
            ),
        )
    ]
    priced = [(one, one.arr_forecast) for one in matured if one.arr_forecast is not None]
    if has_money:
        drawn.append(
            (
                "ARR",
                matured_plot(
                    [short_day(one.as_of) for one, _ in priced],
                    [(said.low, said.expected, said.high) for _, said in priced],
                    [one.arr_happened or 0.0 for one, _ in priced],
                    words.came,
                    money,
                    "matured-arr",
                ),
            )
        )
    return Figure(drawn, "Bars are the intervals, circles what was expected, diamonds what came.")


def _share(part: float | None, whole: float | None) -> str:
    return percent(part / whole) if part is not None and whole else "–"


def _size(lower: object) -> str:
    """Name the accounts of some ARR.

    Examples
    --------
    >>> _size(1000.0), _size(0.0), _size(None)
    ('1,000 to 10,000', 'below 1', 'not known')
    """
    if not isinstance(lower, float):
        return "not known"
    return f"{lower:,.0f} to {10 * lower:,.0f}" if lower else "below 1"
