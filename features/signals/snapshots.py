"""Snapshots: what the user measures or computes already, joined as of the observation date."""

from __future__ import annotations

import ibis.expr.types as ir

from features.builders.builder import Request, all_history, fill_rows, relative_change
from features.builders.settings import OwnSignal, SignalsSettings
from features.catalog import Signal, Unit, signal_label, signal_name
from features.errors import DataError, SettingsError, nearest
from features.sources.source import same_name
from features.tables.cleaning import CleanTable, clean_value
from features.tables.company import Company
from features.tables.mapping.contract import Column, Kind
from features.windows.panes import Measure, Window

# A month's row is known when the month is over: 35 days hold one on every date.
RECENT, LONG, HALF = Window("35d", 35), Window("91d", 91), Window("182d", 182)
BEFORE = Window("before", 91, ends_days_before=35)


class SnapshotsBuilder:
    """The columns of ``snapshots`` that ``[signals.own]`` names, each in the group it says."""

    group = "own"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List a signal per named column.

        Raises
        ------
        SettingsError
            When a column is named that is sensitive, reads like another or is not mapped.
        DataError
            When a named column is not there or its type cannot be what its unit says.
        """
        own = settings.own
        if not own:
            return ()
        if not company.has("snapshots"):
            raise SettingsError(
                f"[signals.own] names {next(iter(own))[:60]!r}, a column of snapshots, and"
                " [tables] maps no snapshots; add [tables.snapshots]"
            )
        sensitive = {signal_name(name) for name in settings.sensitive}
        names: set[str] = set()
        for column in own:
            name = signal_name(column)
            if name in sensitive:
                raise SettingsError(
                    f"[signals.own] names {column[:60]!r}, which [signals] sensitive keeps from"
                    " being an input; take it off one of them"
                )
            if name in names:
                raise SettingsError(
                    f"[signals.own] needs names that differ in letters or digits, and"
                    f" {column[:60]!r} reads like another one; rename one of the columns"
                )
            names.add(name)
        table = company.tables["snapshots"]
        listed = tuple(
            signal for column in own for signal in _signals(table, column, settings.own[column])
        )
        _refuse_doubled(listed)
        return listed

    def build(self, request: Request) -> ir.Table:
        """Read the latest snapshot known on each date, and what is measured again over windows."""
        signals = {each.name: each for each in self.signals(request.company, request.settings)}
        table = request.company.tables["snapshots"]
        states: dict[str, ir.Value] = {}
        measures: dict[str, ir.Value] = {}
        for column, own in request.settings.own.items():
            signal = signals[signal_name(column)]
            chosen = measures if own.over_time else states
            chosen[signal.name] = _value(table, column, signal.unit)
        built = request.keys
        if states:
            categories = {name for name in states if signals[name].is_categorical}
            built = fill_rows(built, _states(request, table, states, categories), [])
        if measures:
            built = fill_rows(built, _means(request, measures), [])
        return built


def _states(
    request: Request, table: CleanTable, values: dict[str, ir.Value], categories: set[str]
) -> ir.Table:
    """Read the latest snapshot known on each date; of equal times, mean or last text."""
    rows = _latest(request, table, values) if table.is_dated else _undated(request, values)
    one = {name: rows[name].max() if name in categories else rows[name].mean() for name in values}
    return rows.group_by("account_id", "observation_date").aggregate(**one)


def _means(request: Request, values: dict[str, ir.Value]) -> ir.Table:
    """Average what is measured again and again over three windows, and compare with before."""
    measures = {name: Measure("mean", name) for name in values}
    windows = [RECENT, BEFORE, LONG, HALF]
    means = request.over_windows(request.events("snapshots", **values), windows, measures)
    found = {}
    for name in values:
        recent, before = means[f"{name}_{RECENT.name}"], means[f"{name}_{BEFORE.name}"]
        found[name] = recent
        found |= {f"{name}_{each.name}": means[f"{name}_{each.name}"] for each in (LONG, HALF)}
        found[f"{name}_change"] = relative_change(recent, before)
    return means.select("account_id", "observation_date", **found)


def _undated(request: Request, values: dict[str, ir.Value]) -> ir.Table:
    """Pair each observation with the account's rows, whenever they were written."""
    rows = request.company.tables["snapshots"].cleaned.select(_account="account_id", **values)
    return request.keys.inner_join(rows, request.keys.account_id == rows["_account"])


def _latest(request: Request, table: CleanTable, values: dict[str, ir.Value]) -> ir.Table:
    """Pair each observation with the rows of the latest time that was known on it."""
    last = {"at": Measure("last")}
    events, ever = request.events("snapshots"), all_history(request, "snapshots")
    latest = request.over_windows(events, [ever], last)
    latest = latest.rename(_latest=f"at_{ever.name}")
    rows = table.cleaned
    own_time = rows[table.contract.time]
    recorded = rows.recorded_at.fill_null(own_time) if table.has("recorded_at") else own_time
    # No signal's name begins with an underscore.
    rows = rows.select(_account=rows.account_id, _time=own_time, _recorded=recorded, **values)
    same = [latest.account_id == rows["_account"], latest["_latest"] == rows["_time"]]
    joined = latest.inner_join(rows, same)
    # Of rows of the same time, one may have come late.
    return joined.filter(joined["_recorded"] < joined.observation_date)


def _signals(table: CleanTable, column: str, own: OwnSignal) -> tuple[Signal, ...]:
    unit = own.unit or _unit(table, _source_column(table, column))
    name, label = signal_name(column), signal_label(own.label or column)
    _value(table, column, unit)
    if not own.over_time:
        sentence = own.sentence or f"{label} is {{value}}"
        return (Signal(name, own.group, unit, own.healthy, label, None, sentence),)
    if unit in ("category", "flag", "change") or not table.is_dated:
        what = "rows without observed_at" if not table.is_dated else f"unit '{unit}'"
        raise SettingsError(
            f"[signals.own] says over_time of {column[:60]!r}, which needs numbers with the time"
            f" they were measured at, and finds {what}; take over_time off"
        )

    def mean(window: Window, words: str) -> Signal:
        known = own.sentence if window is RECENT else None
        return Signal(
            name if window is RECENT else f"{name}_{window.name}",
            own.group,
            unit,
            own.healthy,
            f"{label}{words}",
            window.days,
            known or f"{label} averaged {{value}} in {window.days} days",
        )

    return (
        mean(RECENT, ""),
        mean(LONG, ", long"),
        mean(HALF, ", half a year"),
        Signal(
            f"{name}_change",
            own.group,
            "change",
            own.healthy,
            f"{label}, change",
            RECENT.days,
            f"{label} {{value}} against the {BEFORE.days} days before",
        ),
    )


def _refuse_doubled(signals: tuple[Signal, ...]) -> None:
    """Refuse two signals of one name: a mean over a window may be called as another column."""
    names = [signal.name for signal in signals]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise SettingsError(
            f"[signals.own] makes two signals called {doubled[:60]!r}, one of them of over_time;"
            " rename one of the columns"
        )


def _source_column(table: CleanTable, column: str) -> str:
    found = same_name(column, table.attributes)
    if found is None:
        raise DataError(
            f"Table '{table.source_name}' has no column '{column[:60]}', named in"
            f" [signals.own]{nearest(column, table.attributes) or '; take it off'}"
        )
    return found


def _unit(table: CleanTable, column: str) -> Unit:
    kind = table.raw[column].type()
    if kind.is_boolean():
        return "flag"
    return "count" if kind.is_numeric() else "category"


def _value(table: CleanTable, column: str, unit: Unit) -> ir.Value:
    """Read a column as its unit says.

    Raises
    ------
    DataError
        When a column of texts is to be a number, or one of fractions a category.
    """
    origin = _source_column(table, column)
    kind, cleaned = table.raw[origin].type(), table.cleaned[origin]
    fits = {
        "category": kind.is_string() or kind.is_boolean() or kind.is_integer(),
        "flag": kind.is_boolean() or kind.is_numeric(),
    }.get(unit, kind.is_numeric() or kind.is_boolean())
    if not fits:
        wanted = {"category": "text", "flag": "yes or no"}.get(unit, "numbers")
        raise DataError(
            f"Column '{origin[:60]}' of table '{table.source_name}' is of type {kind}, and unit"
            f" '{unit}' needs {wanted}; correct [signals.own] or convert the column"
        )
    if unit == "category":
        return cleaned.cast("int64").cast("string") if kind.is_integer() else cleaned
    number: Kind = "flag" if unit == "flag" or kind.is_boolean() else "number"
    return clean_value(cleaned, Column(origin, number), table.source_name).cast("float64")
