"""The form of a column of texts: order of day and month, century, decimal mark, numbers as times.

What one value leaves open the column decides, and what the column leaves open the other columns of
the source decide. What they leave open too is refused: nothing is guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from features.errors import DataError, sample
from features.tables.mapping.mapped import MappedTable
from features.tables.mapping.month_names import BEGINNINGS, IS_WEEK
from features.tables.mapping.reading_settings import ReadingSettings
from features.tables.reading.evidence import Counts, evidence
from features.tables.reading.unreadable import is_too_many


@dataclass(frozen=True)
class Form:
    """How the values of one column are read.

    Parameters
    ----------
    is_plain : bool
        Whether every value that can be read is written as ISO 8601 or a program writes it.
    is_day_first : bool or None
        For times: what 1/2/2024 means; None where no value is written so.
    century : int or None
        For times: the century of two-digit years.
    decimal : str
        For numbers: point or comma.
    number_is : {"unix", "excel", "compact"} or None
        For times: what a number stands for.
    is_named : bool
        For times: whether months are words.
    months : {"first", "last"} or None
        For times: which day stands for a month or a quarter; None where none is written.
    note : str
        What was decided, for people; empty where there was nothing to decide.
    """

    is_plain: bool = True
    is_day_first: bool | None = None
    century: int | None = None
    decimal: str = "."
    number_is: str | None = None
    is_named: bool = False
    months: Literal["first", "last"] | None = None
    note: str = ""


PLAIN = Form()
FEWEST_FIRSTS = 6
Forms = Mapping[tuple[str, str], Form]


def decide_forms(
    tables: Iterable[MappedTable], settings: ReadingSettings, *, has_points: bool = False
) -> dict[tuple[str, str], Form]:
    """Decide the form of every column that is not plain, in one scan per table.

    Parameters
    ----------
    tables : iterable of MappedTable
        The tables whose columns are compared.
    settings : ReadingSettings
        What is settled beforehand.
    has_points : bool
        Whether a column of numbers of the source was read with decimal points already.

    Raises
    ------
    DataError
        When a column's values can be read in two ways and nothing says which, or are numbers where
        times are wanted.
    """
    rows: dict[
        tuple[str, str], tuple[MappedTable, dict[str, float | str | None], Counter[str]]
    ] = {}
    for table in tables:
        for name, values in evidence(table).items():
            counts = _counts(values)
            counts["years"] = 1 + (values.get("year_first") != values.get("year_last"))
            rows[table.contract.name, name] = (table, values, counts)
    orders = {order for _, _, counts in rows.values() if (order := _shown_order(counts))}
    marks = {mark for _, _, counts in rows.values() if (mark := _shown_mark(counts))}
    marks |= {"."} if has_points else set()
    forms: dict[tuple[str, str], Form] = {}
    for (table_name, name), (table, values, counts) in rows.items():
        named = f"Column {name} of table '{table.source_name}'"
        if table.contract.column(name).kind == "time":
            form = _time_form(named, counts, values, orders, settings)
            if counts["months"]:
                form = _with_months(form, table, name, counts, values)
        else:
            form = _number_form(named, counts, values, marks, settings)
        forms[table_name, name] = replace(form, note=f"{name}: {form.note}" if form.note else "")
    return forms


def _counts(row: Counts) -> Counter[str]:
    return Counter(
        {
            key: int(value)
            for key, value in row.items()
            if not isinstance(value, str) and value is not None and value == value
        }
    )


def _shown_order(row: Counter[str]) -> str:
    """Return the order that a column's own values show, if they agree.

    Where one part is 1 throughout and years differ it is the day: firsts of months, and not days
    of January of several years.
    """
    day_first = row["first"] or (row["parted"] and row["pointed"] == row["parted"])
    if row["years"] > 1 and row["parted"] >= FEWEST_FIRSTS and not (row["first"] or row["second"]):
        ones = [row[part] == row["parted"] for part in ("first_ones", "second_ones")]
        if ones[0] != ones[1]:
            return "day-first" if ones[0] else "month-first"
    if day_first and not row["second"]:
        return "day-first"
    return "month-first" if row["second"] and not row["first"] else ""


def _shown_mark(row: Counter[str]) -> str:
    if row["comma"] and not row["point"]:
        return ","
    return "." if row["point"] and not row["comma"] else ""


def _time_form(
    named: str,
    row: Counter[str],
    values: Counts,
    orders: Iterable[str],
    settings: ReadingSettings,
) -> Form:
    """Decide each way of writing for itself: a column may hold several.

    What a few values leave open they lose, and count as unreadable; of more the column is refused.
    """
    if settings.century is None and _is_much(row, "short", settings):
        raise DataError(
            f"{named} holds years of two digits, such as {sample([values.get('short_example')])},"
            " of which nobody can tell day, month and century; write years in full, or set"
            " [reading] century = 2000 and dates"
        )
    notes = []
    if is_named := row["named"] > 0:
        example = sample([values.get("named_example")])
        notes.append(f"{row['named']:,} dates such as {example} have the month in words")
    order, note = _order(named, row, values, orders, settings)
    notes += [note] if note else []
    number_is, note = _numbers(named, row, values, settings)
    notes += [note] if note else []
    return Form(
        not (is_named or order or number_is or row["other"]),
        None if order is None else order == "day-first",
        settings.century,
        number_is=number_is,
        is_named=is_named,
        note="; ".join(notes),
    )


def _is_much(row: Counter[str], what: str, settings: ReadingSettings) -> bool:
    return is_too_many(row[what], max(row["present"], row["numbers"]), settings.may_be_lost)


def _order(
    named: str,
    row: Counter[str],
    values: Counts,
    orders: Iterable[str],
    settings: ReadingSettings,
) -> tuple[str | None, str]:
    """Return the order of day and month, and what is said of it."""
    if not row["parted"]:
        return None, ""
    example = sample([values.get("example")])
    order = settings.dates or _shown_order(row)
    note = f"{row['parted']:,} dates such as {example} are read {order}"
    if order:
        return order, note
    is_mixed = row["first"] and row["second"]
    if is_mixed and _is_much(row, "parted", settings):
        raise DataError(
            f"{named} mixes dates with the day first and with the month first, such as {example};"
            " write them alike, as 2024-12-31"
        )
    others = list(orders)
    if len(others) == 1 and not is_mixed:
        return others[0], (
            f"{row['parted']:,} dates such as {example} are read {others[0]}, as other columns show"
        )
    if _is_much(row, "parted", settings):
        raise DataError(
            f"{named} holds dates such as {example} whose day and month cannot be told apart,"
            f" and no other column {'agrees' if others else 'shows their order'}; set [reading]"
            ' dates = "day-first" or "month-first"'
        )
    return None, ""


_NUMBERS_ARE = {
    "unix": "seconds (or finer) since 1970",
    "excel": "days of a spreadsheet's calendar",
}


def _numbers(
    named: str, row: Counter[str], values: Counts, settings: ReadingSettings
) -> tuple[str | None, str]:
    """Return what numbers stand for, and what is said of it."""
    example = sample([values.get("number_example")])
    chosen = settings.numbers_as_times
    if row["compact"] and row["compact"] + row["no_days"] == row["numbers"]:
        return "compact", f"numbers such as {example} are read as 20241231 is"
    if not row["unix"] and not row["excel"]:
        return None, ""
    likely = "unix" if row["unix"] >= row["excel"] else "excel"
    if chosen is None and _is_much(row, "numbers", settings):
        raise DataError(
            f"{named} must hold dates and holds numbers such as {example}, which look like"
            f' {_NUMBERS_ARE[likely]}; set [reading] numbers_as_times = "{likely}" to read them so,'
            " or write dates"
        )
    if chosen is None:
        return None, ""
    return chosen, (
        f"{row['numbers']:,} numbers such as {example} are read as {_NUMBERS_ARE[chosen]}"
    )


def _with_months(
    form: Form, table: MappedTable, name: str, row: Counter[str], values: Counts
) -> Form:
    """Read a month as its last day, when all of it is known, and what begins from its first on."""
    # What a row sums up is moved to its last day as a whole.
    is_moved = table.covers is not None and name == table.contract.time
    day: Literal["first", "last"] = "first" if is_moved or name in BEGINNINGS else "last"
    example = str(values.get("month_example"))
    what = "weeks" if re.search(IS_WEEK, example.lower()) else "months"
    note = (
        f"{row['months']:,} {what} such as {sample([values.get('month_example')])} are read as"
        f" their {day} day"
    )
    other = row["months"] < max(row["present"], row["numbers"])
    return replace(form, months=day, note=f"{form.note}; {note}" if form.note and other else note)


def _number_form(
    named: str,
    row: Counter[str],
    values: Counts,
    marks: Iterable[str],
    settings: ReadingSettings,
) -> Form:
    first, last = values.get("sign_first"), values.get("sign_last")
    if isinstance(first, str) and isinstance(last, str) and first != last:
        raise DataError(
            f"{named} holds amounts of several currencies, such as {sample([first, last])}, and"
            " their sum means nothing; convert them to one, or write the currency in a column of"
            " its own"
        )
    open_values = row["open_comma"] + row["open_point"]
    mark = settings.decimal or _shown_mark(row)
    if not mark and row["comma"] and row["point"]:
        mark = "," if row["comma"] > row["point"] else "."
    note = "numbers have a decimal comma" if mark == "," else ""
    if not mark and open_values:
        others = list(marks)
        example = sample([values.get("example")])
        if len(others) != 1:
            raise DataError(
                f"{named} holds numbers such as {example}, which may be thousands or a fraction,"
                ' and nothing shows which; set [reading] decimal = "." or ","'
            )
        mark = others[0]
        parts = "a fraction" if (mark == ",") == bool(row["open_comma"]) else "thousands"
        note = f"numbers such as {example} are read with {parts}, as other columns show"
    return Form(not row["other"] and mark != ",", decimal=mark or ".", note=note)
