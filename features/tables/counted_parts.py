"""Counts of what cannot be read of a table, and counts put together from those of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.sources.engines.engine import Remembered
from features.sources.files.plain_forms import is_open_word, without_missing_words, without_none
from features.tables.cleaning import (
    CLOCK_PATTERN,
    ZONE_PATTERN,
    CleanTable,
    clean_value,
    number_of_column,
    read_text,
)
from features.tables.mapping.contract import Column
from features.tables.mapping.copies import LARGE
from features.tables.mapping.ends import is_no_end
from features.tables.mapping.written import NO_DAY
from features.tables.reading.evidence import Counts
from features.tables.reading.forms import PLAIN, Form
from features.tables.reading.values import read_time

LATEST_TIME = "latest:"
"""Begins the key of a column's latest time."""
EVERY_ROW = "every row"
Measures = Mapping[str, ir.Value]
_LEAST = ("example:", "first")
_MOST = ("open_example:", "most_example:", LATEST_TIME)


def raw_counts(table: CleanTable, raw: ir.Table, now: datetime | None) -> ir.Table:
    """Count unreadable and impossible values of every mapped column, in one row.

    What was read is a column of its own: written out wherever it is counted, it would take longer
    to plan than the scan takes.

    Parameters
    ----------
    table : CleanTable
        The table.
    raw : ibis table
        Its rows, or some of them, before they were cleaned.
    now : datetime or None
        What lies after it is in the future; without it, the latest time of a column stands for how
        many are.
    """
    columns = {
        str(place): table.contract.column(name)
        for place, name in enumerate(name for name in raw.columns if name not in table.attributes)
    }
    levels = {
        f"level {name}": raw[name]
        for name in table.attributes
        if table.cleaned[name].type().is_string() and not table.contract.is_open
    }
    texts = {
        f"{key} read": value
        for key, column in columns.items()
        if (value := read_text(raw[column.name], column, table.form(column.name))) is not None
    }
    parsed = raw.mutate(**texts) if texts else raw
    read = parsed.select(
        **levels,
        **{
            f"{key} {what}": value
            for key, column in columns.items()
            for what, value in _read(table, parsed, key, column).items()
        },
    )
    measures: dict[str, ir.Value] = {
        f"levels:{name.removeprefix('level ')}": read[name].nunique() for name in levels
    }
    for key, column in columns.items():
        values = {
            name.removeprefix(f"{key} "): read[name]
            for name in read.columns
            if name.startswith(f"{key} ")
        }
        for what, measure in _raw_measures(values, column, now, read.count()).items():
            measures[f"{what}:{column.name}"] = measure
    if table.is_dated:
        own = [read[f"{key} present"] for key, column in columns.items()
               if column.name in own_times(table)]  # fmt: skip
        # The count of what is there costs next to nothing, the sum of what is true more.
        own_time = ibis.coalesce(*(value.notnull().nullif(False) for value in own))
        measures[f"absent:{table.contract.time}"] = read.count() - own_time.count()
    if table.contract.name in LARGE and not table.attributes:
        # What is missing of a large table is counted with all else, and not in a look of its own.
        measures[EVERY_ROW] = read.count()
        valid = {column.name: f"{key} valid" for key, column in columns.items()}
        measures |= {f"valid:{name}": read[held].count() for name, held in valid.items()}
    return read.aggregate(**measures)


def _read(table: CleanTable, parsed: ir.Table, key: str, column: Column) -> dict[str, ir.Value]:
    """Return a column's values, and what is read of them."""
    value, form = parsed[column.name], table.form(column.name)
    is_text, own = value.type().is_string(), value
    if f"{key} read" in parsed.columns:
        value, form = parsed[f"{key} read"], PLAIN
    cleaned = clean_value(value, column, table.source_name, form)
    present = _present(own, column, form)
    read = {"present": present, "clean": cleaned, "valid": cleaned}
    if column.may_never_come and (moment := read_time(value, form)) is not None:
        # A time that stands for none is read well.
        is_open = is_no_end(moment).fill_null(False)
        is_open = is_open | is_open_word(own).fill_null(False) if is_text else is_open
        read |= {"clean": moment, "moment": cleaned}
        read |= {"open": ibis.ifelse(is_open, own.cast("string"), ibis.null("string"))}
    if column.kind == "number":
        read["clean"] = number_of_column(value, column, form)
    if not (is_text and column.kind in ("id", "text")):
        # Only what cannot be read is written as text: to write everything takes longer than to
        # read it. Of texts as they are all that is present is read.
        is_unread = present.notnull() & read["clean"].isnull()
        read["unread"] = ibis.ifelse(is_unread, own.cast("string"), ibis.null("string"))
    if column.kind == "time" and is_text:
        read["zoned"] = own.re_search(ZONE_PATTERN)
        read["clock"] = own.re_search(CLOCK_PATTERN)
    return read


def _raw_measures(
    values: Mapping[str, ir.Value], column: Column, now: datetime | None, rows: ir.IntegerScalar
) -> dict[str, ir.Value]:
    present, read = values["present"].count(), values["clean"]
    measures: dict[str, ir.Value] = {"present": present}
    if "unread" in values:
        unread = values["unread"]
        measures["unreadable"] = unread.count()
        measures |= {"example": unread.min(), "most_example": unread.max()}
    if column.name == "account_id":
        measures["absent"] = rows - present
    if "open" in values:
        measures |= {"open": values["open"].count(), "open_example": values["open"].max()}
    if column.kind == "number":
        measures["infinite"] = read.isinf().sum()
        if column.nonnegative:
            measures["negative"] = ((read < 0) & ~read.isinf()).sum()
    if column.kind == "time" and not column.planned:
        moment = values.get("moment", read)
        if now is None:
            measures[LATEST_TIME.removesuffix(":")] = moment.max()
        else:
            measures["future"] = (moment > ibis.literal(now)).sum()
    if "zoned" in values:
        measures["zoned"] = values["zoned"].sum()
        measures["unzoned"] = (values["clock"] & ~values["zoned"]).sum()
    return measures


def _present(value: ir.Value, column: Column, form: Form) -> ir.Value:
    """Return a value, or nothing where it stands for none."""
    if not value.type().is_string():
        if column.kind != "time" or form.number_is != "compact":
            return value
        no_day = value.cast("int64").cast("string").re_search(NO_DAY)
        return ibis.ifelse(no_day, ibis.null(value.type()), value)
    if column.kind in ("time", "number"):
        return without_none(value, may_be_open=column.may_never_come)
    return without_missing_words(value)


def own_times(table: CleanTable) -> list[str]:
    """List the mapped columns that say when a row happened: one of them is enough."""
    times = {table.contract.time, table.contract.time_else}
    return [name for name in table.raw.columns if name in times]


def is_counted_by_parts(table: CleanTable, remembered: Remembered) -> bool:
    """Whether the parts of a table are remembered, and its counts are sums of theirs."""
    return (
        table.is_dated
        and not table.attributes
        and remembered.covers(table.raw)
        and remembered.covers(table.cleaned)
    )


def counted_by_parts(
    table: CleanTable,
    now: datetime,
    remembered: Remembered,
    accounts: ir.Table,
    fact_measures: Callable[[CleanTable, ir.Table], Measures],
) -> tuple[Counts, Counts] | None:
    """Count over each part of a table that was not counted before, and put all together.

    Parameters
    ----------
    table : CleanTable
        The table.
    now : datetime
        What lies after it is in the future.
    remembered : Remembered
        What was counted before.
    accounts : ibis table
        What :func:`by_account` returns.
    fact_measures : callable
        Returns what is counted of cleaned rows.

    Returns
    -------
    tuple of two mappings, or None
        Counts of raw and of cleaned rows; None where a time is in the future, whose count is
        another on each night.
    """
    own = table.contract.time
    raw = remembered.each(table.raw, lambda rows: raw_counts(table, rows, None))
    facts = remembered.each(
        table.cleaned,
        lambda rows: rows.aggregate(**fact_measures(table, rows), **{LATEST_TIME: rows[own].max()}),
    )
    counts, kept = _together(raw), _together(facts)
    latest = [value for key, value in {**counts, **kept}.items() if key.startswith(LATEST_TIME)]
    if any(_is_after(moment, now) for moment in latest):
        return None
    return counts, {
        **kept,
        "last": kept[LATEST_TIME],
        "accounts": int(accounts.account_id.nunique().execute()),
    }


def by_account(table: CleanTable, remembered: Remembered) -> ir.Table:
    """Return each account's rows, and the first and last of its own times that are there.

    Of the parts of a table that are remembered there is a row per account and part.
    """
    own = table.contract.time

    def grouped(rows: ir.Table) -> ir.Table:
        times = rows[own]
        return rows.group_by("account_id").aggregate(
            rows=rows.count(), first=times.min(), last=times.max()
        )

    return remembered.each(table.cleaned, grouped)


def facts_of_accounts(
    table: CleanTable, raw: Counts, accounts: ir.Table, now: datetime
) -> Counts | None:
    """Put facts of all rows together from those of accounts and the counts of raw rows.

    Parameters
    ----------
    table : CleanTable
        One of the large tables: nothing but its own values says what is missing.
    raw : mapping
        What :func:`raw_counts` counted.
    accounts : ibis table
        What :func:`by_account` returns.
    now : datetime
        What lies after it is in the future.

    Returns
    -------
    mapping or None
        None where rows were left out, or lie in the future.
    """
    facts = dict(
        accounts.aggregate(
            rows=accounts["rows"].sum(),
            first=accounts["first"].min(),
            last=accounts["last"].max(),
            accounts=accounts.account_id.nunique(),
        )
        .execute()
        .iloc[0]
        .to_dict()
    )
    if facts["rows"] != raw[EVERY_ROW] or _is_after(facts["last"], now):
        return None
    missing = {
        f"missing:{name}": int(raw[EVERY_ROW] or 0) - int(raw[f"valid:{name}"] or 0)
        for name in table.cleaned.columns
    }
    return facts | missing


def _together(parts: ir.Table) -> dict[str, float | str | None]:
    """Add counts up, and keep the least and the latest of examples and times."""

    def combined(name: str) -> ir.Value:
        if name.startswith(_LEAST):
            return parts[name].min()
        return parts[name].max() if name.startswith(_MOST) else parts[name].sum()

    totals = parts.aggregate(**{name: combined(name) for name in parts.columns})
    return dict(totals.execute().iloc[0].to_dict())


def _is_after(moment: object, now: datetime) -> bool:
    return moment is not None and moment == moment and moment > now  # type: ignore[operator]
