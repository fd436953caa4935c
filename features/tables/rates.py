"""Amounts in one currency: each at the rate of its own day, from a dated table or fixed rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.errors import DataError, nearest, sample
from features.sources.source import Source, same_name
from features.tables.cleaning import CleanTable
from features.tables.mapping.mapped import clean_id
from features.tables.mapping.reading_settings import RatesSettings
from features.tables.mapping.written import written_number, written_time

MONEY = {"subscriptions": "mrr", "invoices": "amount"}


def in_one_currency(
    tables: Mapping[str, CleanTable], settings: RatesSettings | None, source: Source
) -> dict[str, CleanTable]:
    """Convert the amounts of every table that says its currency.

    Raises
    ------
    DataError
        When a currency has no rate on a row's date, or several currencies meet without rates.
    """
    converted = dict(tables)
    for name, money in MONEY.items():
        table = tables.get(name)
        if table is None or not table.has("currency", money):
            continue
        if settings is None:
            _refuse_several(table, money)
        else:
            converted[name] = _converted(table, money, settings, source)
    return converted


def _code(rows: ir.Table) -> ir.StringValue:
    return rows.currency.strip().lower()


def _refuse_several(table: CleanTable, money: str) -> None:
    rows = table.cleaned.filter(table.cleaned[money].notnull())
    codes = rows.group_by(code=_code(rows)).aggregate(n=rows.count())
    codes = codes.filter(codes.code.notnull())
    listed = codes.order_by("code").limit(9).execute()["code"].tolist()
    if len(listed) > 1:
        raise DataError(
            f"Table '{table.source_name}' holds {money} in several currencies, {sample(listed, 9)},"
            " and their sum means nothing; give their rates under [rates], keep one of them with"
            f' keep, or set currency = "" under [tables.{table.contract.name}] if {money} is in one'
            " already"
        )


def _converted(
    table: CleanTable, money: str, settings: RatesSettings, source: Source
) -> CleanTable:
    """Multiply each amount with the newest rate that is not after its own date."""
    time = table.contract.time
    rows = table.cleaned.mutate(__n=ibis.row_number(), __code=_code(table.cleaned))
    target = settings.currency.lower()
    fixed = {target: 1.0} | {code.lower(): rate for code, rate in settings.fixed.items()}
    # A row that names no currency is in the one of all.
    single = ibis.ifelse(rows["__code"].isnull(), 1.0, rows["__code"].cases(*fixed.items()))
    rows = source.engine.keep("amounts", rows.mutate(__rate=single.cast("float64")))
    if settings.source is not None:
        open_rows = rows.filter(rows["__rate"].isnull())
        dated = _dated_rates(settings, source)
        met = open_rows.inner_join(
            dated,
            [
                open_rows["__code"] == dated.code,
                open_rows[time] >= dated.since,
                open_rows[time] < dated.until,
            ],
        )
        # Of a currency and moment there is one rate.
        found = met.group_by("__n").aggregate(__dated=met.rate.max())
        rows = rows.left_join(found, "__n").drop("__n_right")
        rows = rows.mutate(__rate=rows["__rate"].fill_null(rows["__dated"])).drop("__dated")
    _refuse_missing(table, rows, money, settings)
    converted = rows.mutate(**{money: rows[money] * rows["__rate"]})
    return replace(table, cleaned=converted.drop("__n", "__code", "__rate"))


def _dated_rates(settings: RatesSettings, source: Source) -> ir.Table:
    """Return ``code``, ``rate`` and the times ``since`` and ``until`` which it holds."""
    assert settings.source is not None
    asked = "[rates]"
    table = source.table(settings.source, asked)
    columns = {}
    for key, wanted in (("date", settings.date), ("code", settings.code), ("rate", settings.rate)):
        origin = same_name(wanted, table.columns)
        if origin is None:
            hint = nearest(wanted, table.columns) or f"; it has {sample(table.columns, 8)}"
            raise DataError(
                f"Table '{settings.source}' has no column '{wanted[:60]}', named by {asked}"
                f" {key}{hint}"
            )
        columns[key] = table[origin]
    day, rate = columns["date"], columns["rate"]
    since = written_time(day) if day.type().is_string() else day.cast("timestamp")
    number = written_number(rate) if rate.type().is_string() else rate.cast("float64")
    rates = table.select(code=clean_id(columns["code"]).strip().lower(), since=since, rate=number)
    rates = rates.filter(rates.code.notnull() & rates.since.notnull() & (rates.rate > 0))
    rates = rates.distinct()
    _refuse_two_of_a_day(rates, settings.source)
    following = rates.since.lead().over(ibis.window(group_by="code", order_by="since"))
    longest = rates.since + ibis.interval(days=settings.days)
    until = ibis.least(following.fill_null(longest), longest)
    return source.engine.keep("rates", rates.mutate(until=until))


def _refuse_two_of_a_day(rates: ir.Table, source_name: str) -> None:
    each = rates.group_by("code", "since").aggregate(n=rates.count(), low=rates.rate.min(),
                                                     high=rates.rate.max())  # fmt: skip
    twice = each.filter(each.n > 1).order_by("since", "code").limit(1).execute()
    if len(twice):
        code, since, low, high = twice[["code", "since", "low", "high"]].iloc[0]
        raise DataError(
            f"Table '{source_name}', named by [rates], holds two rates of {sample([code])} on"
            f" {since.date()}, {low:g} and {high:g}; keep one of a currency and day"
        )


def _refuse_missing(table: CleanTable, rows: ir.Table, money: str, settings: RatesSettings) -> None:
    without = rows.filter(rows["__rate"].isnull() & rows[money].notnull())
    first = without.order_by(table.contract.time, "__code").limit(1)
    listed = first.select(code="__code", day=table.contract.time).execute()
    if not len(listed):
        return
    day = listed["day"].iloc[0].date()
    where = f"table '{settings.source}'" if settings.source is not None else "[rates] fixed"
    raise DataError(
        f"There is no rate of {sample([listed['code'].iloc[0]])} to {settings.currency} on"
        f" {day} (or in the {timedelta(days=settings.days).days} days before) in {where}, and"
        f" {int(without.count().execute()):,} rows of table '{table.source_name}' need one; add it,"
        " or keep other currencies out"
    )
