"""The forecast as a workbook: quarters, parts, renewals, and what earlier forecasts came to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.portfolio.forecast.words import TERMS, part_words
from pipelines.reports.terminal.console import plain
from pipelines.reports.terminal.whole_file import replaced_whole

if TYPE_CHECKING:
    from models.measures.expected_loss import Forecast
    from pipelines.portfolio.forecast.data import RetentionReport
    from pipelines.portfolio.forecast.sums import PartForecast, PeriodForecast, Retention

Cell = str | float | date | None
MONEY, SHARE, DAY, COUNT = "#,##0", "0.0%", "yyyy-mm-dd", "#,##0.0"
LONGEST = 300
SUFFIX = ".xlsx"


def write_workbook(report: RetentionReport, file: Path) -> None:
    """Write the forecast as XLSX; texts are texts, whatever they begin with.

    Raises
    ------
    OSError
        When there is no room.
    """
    import xlsxwriter

    options = {"strings_to_formulas": False, "strings_to_urls": False}
    with replaced_whole(file) as fresh, xlsxwriter.Workbook(fresh, options) as book:
        heading = book.add_format({"bold": True, "bottom": 1})
        # As text, so that editing a cell does not make a formula of it either.
        text = book.add_format({"num_format": "@"})
        formats = {kind: book.add_format({"num_format": kind}) for kind in _KINDS}
        for title, columns, rows in _sheets(report):
            sheet = book.add_worksheet(title)
            sheet.freeze_panes(1, 1)
            for place, (name, kind) in enumerate(columns):
                sheet.set_column(place, place, 24 if place == 0 else 16)
                sheet.write_string(0, place, name, heading)
                for line, row in enumerate(rows, start=1):
                    value = row[place]
                    if isinstance(value, str):
                        sheet.write_string(line, place, _text(value), text)
                    elif isinstance(value, date):
                        sheet.write_datetime(line, place, value, formats[DAY])
                    elif value is not None:
                        sheet.write_number(line, place, value, formats[kind])


def _text(value: str) -> str:
    text = plain(value, LONGEST)
    # XlsxWriter takes <r>...</r> for its own markup and would write it out as it is.
    return f"{text} " if text.startswith("<r>") else text


_KINDS = (MONEY, SHARE, DAY, COUNT)
_Sheet = tuple[str, list[tuple[str, str]], list[list[Cell]]]


def _sheets(report: RetentionReport) -> Iterator[_Sheet]:
    """List the sheets: title, columns with their format, rows."""
    yield "Quarters", _period_columns(), [_period_row(one) for one in report.whole.periods]
    for title, parts in (("Segments", report.segments), ("Owners", report.owners)):
        if parts:
            yield title, _part_columns(title[:-1]), list(_part_rows(parts, title[:-1]))
    bands = list(report.weeks[0].bands) if report.weeks else []
    columns = [("Week of", DAY), ("Contracts", MONEY), ("ARR", MONEY), ("Expected loss", COUNT)]
    columns += [(f"{what} {band}", MONEY) for band in bands for what in ("Contracts", "ARR")]
    rows: list[list[Cell]] = [
        [
            week.monday,
            week.accounts,
            week.arr,
            week.expected_lost,
            *(number for both in week.bands.values() for number in both),
        ]
        for week in report.weeks
    ]
    yield "Renewals", columns, rows
    yield "Earlier forecasts", _held_columns(), list(_held_rows(report))
    notes: list[list[Cell]] = [[term, meaning] for term, meaning in TERMS]
    notes += [["Scores of", report.as_of], ["Model version", report.model_version]]
    notes += [["To be doubted", note] for note in report.notes]
    yield "Terms", [("Term", MONEY), ("What it means", MONEY)], notes


def _three(name: str, kind: str) -> list[tuple[str, str]]:
    return [(name, kind), (f"{name}, low", kind), (f"{name}, high", kind)]


def _values(forecast: Forecast | None) -> list[Cell]:
    if forecast is None:
        return [None, None, None]
    return [forecast.expected, forecast.low, forecast.high]


_SUMS = (
    *(("Opening ARR", "opening"), ("Lost", "lost"), ("Smaller", "smaller"), ("Larger", "larger")),
    *(("Closing ARR", "closing"), ("ARR up for renewal", "up"), ("Renewed", "renewed")),
)
_SHARES = ("Gross revenue retention", "Net revenue retention", "Account retention")


def _period_columns() -> list[tuple[str, str]]:
    columns = [("Period", MONEY), ("From", DAY), ("Until", DAY)]
    for name, _ in _SUMS:
        columns += _three(name, MONEY)
    columns += [*_three("Accounts", COUNT), *_three("Accounts lost", COUNT)]
    for name in (*_SHARES, "Gross renewal rate"):
        columns += _three(name, SHARE)
    return columns


def _period_row(one: PeriodForecast) -> list[Cell]:
    row: list[Cell] = [one.period.label, one.period.opens, one.period.closes]
    for _, name in _SUMS:
        row += _values(one.money.get(name))
    row += [*_values(one.accounts), *_values(one.lost_accounts)]
    return [*row, *_kept(one.retention), *_values(one.renewal_rate)]


def _kept(kept: Retention) -> list[Cell]:
    return [*_values(kept.gross), *_values(kept.net), *_values(kept.accounts)]


def _part_columns(what: str) -> list[tuple[str, str]]:
    columns = [(what, MONEY), ("Period", MONEY), ("Accounts", COUNT), ("ARR", MONEY)]
    for name in _SHARES:
        columns += _three(name, SHARE)
    return columns


def _part_rows(parts: Sequence[PartForecast], what: str) -> Iterator[list[Cell]]:
    for part in parts:
        called = part_words(part.name, what)
        yield [called, "all of it", part.accounts, part.arr, *_kept(part.whole)]
        for one in part.periods:
            opening = one.money.get("opening")
            arr = None if opening is None else opening.expected
            row: list[Cell] = [called, one.period.label, one.accounts.expected, arr]
            yield [*row, *_kept(one.retention)]


def _held_columns() -> list[tuple[str, str]]:
    columns = [("Scores of", DAY), ("To the end of", MONEY), ("Accounts", MONEY)]
    for name in _SHARES:
        columns += [*_three(name, SHARE), (f"{name}, came", SHARE)]
    return columns


def _held_rows(report: RetentionReport) -> Iterator[list[Cell]]:
    for one in report.held:
        told = ((one.gross, one.gross_came), (one.net, one.net_came))
        row: list[Cell] = [one.as_of, one.label, one.accounts]
        for forecast, seen in (*told, (one.accounts_kept, one.accounts_came)):
            row += [*_values(forecast), seen]
        yield row
