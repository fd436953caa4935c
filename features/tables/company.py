"""A company's tables, mapped, cleaned and counted: what every builder starts from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import ibis
import ibis.expr.types as ir
from ibis.backends import BaseBackend

from features.errors import DataError
from features.sources.engines.engine import Engine
from features.sources.source import Source
from features.tables.cleaning import CleanTable, clean_table
from features.tables.counted_parts import by_account
from features.tables.doubts import moved_renewals
from features.tables.last_rows import without_strays
from features.tables.mapping.finding import Finding
from features.tables.mapping.mapped import MappedTable, map_table
from features.tables.mapping.mapping import TablesSettings
from features.tables.mapping.reading_settings import ReadingSettings
from features.tables.quality import TableQuality, data_end, inspect_table
from features.tables.reading.forms import Form, decide_forms

READ_AS_SHOWN = ReadingSettings()
Progress = Callable[[str, int, int], None]
"""Called with a step's name, its number from 1 and the number of steps."""


@dataclass(frozen=True)
class Company:
    """The contract tables of one company.

    Parameters
    ----------
    engine : Engine
        What holds and computes them.
    tables : dict of str to CleanTable
        The mapped tables by contract name.
    quality : dict of str to TableQuality
        What each holds and what is wrong with it.
    data_end : date
        The first day of which nothing is known.
    """

    engine: Engine
    tables: dict[str, CleanTable]
    quality: dict[str, TableQuality]
    data_end: date

    @property
    def connection(self) -> BaseBackend:
        """The engine's Ibis connection."""
        return self.engine.connection

    def keep(self, name: str, table: ir.Table) -> ir.Table:
        """Compute a step once, in the engine, under a name of its own."""
        return self.engine.keep(name, table)

    @property
    def is_dated(self) -> bool:
        """False for a single snapshot: outcomes come as labels, and nothing need have a date."""
        return "labels" not in self.tables or self.tables["labels"].is_dated

    def has(self, table: str, *columns: str) -> bool:
        """Whether a table is mapped and fills these columns."""
        return table in self.tables and self.tables[table].has(*columns)

    @property
    def data_start(self) -> date:
        """The day of the first row that tells of behaviour rather than of a contract."""
        firsts = {name: quality.first for name, quality in self.quality.items() if quality.first}
        behaviour = firsts.keys() - {"accounts", "subscriptions", "churn_events", "labels"}
        starts = [firsts[name].date() for name in behaviour or firsts]
        return min(starts) if starts else self.data_end - timedelta(days=1)


def load_company(
    source: Source,
    settings: TablesSettings,
    *,
    reading: ReadingSettings = READ_AS_SHOWN,
    known_until: date | None = None,
    told: tuple[Mapping[str, TableQuality], date] | None = None,
    progress: Progress | None = None,
) -> Company:
    """Map, clean and count every table of a source.

    Parameters
    ----------
    source : Source
        The opened source.
    settings : TablesSettings
        The mapping.
    reading : ReadingSettings
        What values mean where they leave it open.
    known_until : date, optional
        The first day of which nothing is known; when left out, the day after the last row, or
        today where no table has a date.
    told : tuple of a mapping and a date, optional
        What was counted of the very same tables before, and the first day of which nothing is
        known: they are not counted again.
    progress : callable, optional
        Told of each table.

    Raises
    ------
    DataError
        When a mapped table or column is missing or cannot be read as what it must be.
    """
    is_dated = labels_are_dated(source, settings)
    tables = clean_tables(source, settings, reading, is_dated=is_dated)
    if told is not None:
        return Company(source.engine, tables, dict(told[0]), told[1])
    quality: dict[str, TableQuality] = {}
    by_accounts: dict[str, ir.Table] = {}
    remembered = source.engine.remembered
    for number, (name, table) in enumerate(tables.items(), start=1):
        if progress is not None:
            progress(f"checking {name}", number, len(tables))
        with _named(source, table.source_name):
            if table.is_dated and name != "accounts":
                grouped = by_account(table, remembered)
                by_accounts[name] = source.engine.keep("by_account", grouped)
            quality[name] = inspect_table(
                table, tables["accounts"], remembered, reading.may_be_lost, by_accounts.get(name)
            )
    end = known_until or _end(tables, quality, is_dated, by_accounts)
    if "subscriptions" in tables:
        told_of = quality["subscriptions"]
        doubts = moved_renewals(tables["subscriptions"], end)
        quality["subscriptions"] = replace(told_of, findings=(*told_of.findings, *doubts))
    source.engine.unchanged()
    return Company(source.engine, tables, quality, end)


def _end(
    tables: Mapping[str, CleanTable],
    quality: dict[str, TableQuality],
    is_dated: bool,
    by_accounts: Mapping[str, ir.Table],
) -> date:
    """Find the day after the last row; strays, and labels that are read as of it, are told of."""
    now = datetime.now(tz=UTC).replace(tzinfo=None)
    # A label tells of what comes after its date.
    ending = {name: table for name, table in tables.items() if name != "labels"}
    if not is_dated and all(quality[name].last is None for name in ending):
        return now.date()
    last, strays = without_strays(ending, now, by_accounts)
    end = data_end(quality, last)
    told = dict(strays)
    if not is_dated:
        told["labels"] = Finding(
            "labels-undated",
            f"labels carry no dates and are read as of {end}, the day after the last row of the"
            " tables beside them; map observed_at, or set [source] data_end to the day they are of",
        )
    for name, finding in told.items():
        quality[name] = replace(quality[name], findings=(finding, *quality[name].findings))
    return end


@contextmanager
def _named(source: Source, table: str) -> Iterator[None]:
    """Name the table that the engine cannot read."""
    try:
        yield
    except source.engine.errors as error:
        raise DataError(
            f"Table '{table}' of the source '{source.url}' cannot be read:"
            f" {source.engine.explain(error)}; repair the table or the connection and run again"
        ) from error


def clean_tables(
    source: Source,
    settings: TablesSettings,
    reading: ReadingSettings = READ_AS_SHOWN,
    *,
    is_dated: bool = True,
    names: Collection[str] | None = None,
    may_have_copies: bool = True,
) -> dict[str, CleanTable]:
    """Map tables and convert their values, in forms that are compared between them.

    Parameters
    ----------
    source : Source
        The opened source.
    settings : TablesSettings
        The mapping.
    reading : ReadingSettings
        What values mean where they leave it open.
    is_dated : bool
        Whether accounts need a ``created_at``.
    names : collection of str, optional
        Only these tables.
    may_have_copies : bool
        Whether copies are looked for.

    Raises
    ------
    DataError
        When a table or column is missing, or its values can be read in two ways.
    """

    def mapped(wanted: Collection[str]) -> dict[str, MappedTable]:
        tables = {}
        for name, mapping in settings.mapped().items():
            if name in wanted:
                with _named(source, mapping.source or name):
                    tables[name] = map_table(
                        name, mapping, source, is_dated=is_dated, may_have_copies=may_have_copies
                    )
        return tables

    every = settings.mapped()
    tables = mapped(every if names is None else names)
    try:
        forms = _forms(source, tables, reading)
    except DataError:
        if names is None:
            raise
        # The other tables may show how these are to be read.
        forms = _forms(source, mapped(every), reading)
    cleaned = {name: clean_table(table, forms, reading) for name, table in tables.items()}
    if not any(table.has("currency") for table in cleaned.values()):
        return cleaned
    from features.tables.rates import in_one_currency

    return in_one_currency(cleaned, reading.rates, source)


def _forms(
    source: Source, tables: Mapping[str, MappedTable], reading: ReadingSettings
) -> dict[tuple[str, str], Form]:
    has_points = any(
        source.is_text(table.source_name) and kind.is_floating()
        for table in tables.values()
        for kind in table.raw.schema().types
    )
    return decide_forms(tables.values(), reading, has_points=has_points)


def labels_are_dated(source: Source, settings: TablesSettings) -> bool:
    """Whether outcomes have dates; labels without them stand for a snapshot that has none at all.

    Raises
    ------
    DataError
        When labels have no dates and the tables beside them do.
    """
    if settings.labels is None:
        return True
    labels = clean_tables(source, settings, names=["labels"], may_have_copies=False)["labels"]
    if settings.tells_of_churn and not labels.is_dated:
        raise DataError(
            f"Table '{labels.source_name}' holds labels without observed_at, and beside"
            " subscriptions or churn_events a label must name its observation date; map"
            " [tables.labels] observed_at or take one of the tables out"
        )
    return labels.is_dated


def rows_known(
    observations: ir.Table, table: CleanTable, lookback_days: int | None = None
) -> ir.Table:
    """Pair every observation with the source rows that were known before it.

    This is the point-in-time rule in one place: a row counts when its own time (and
    ``recorded_at``, where there is one) is before the observation date, and a value that is
    filled in later counts only when that later moment is before it too.

    Parameters
    ----------
    observations : ibis table
        Rows with ``account_id`` and ``observation_date``.
    table : CleanTable
        The source rows.
    lookback_days : int, optional
        Leave out rows older than this many days.

    Returns
    -------
    ibis table
        ``account_id``, ``observation_date`` and the table's columns; one row per pair.
    """
    rows = table.cleaned
    keys = observations.select("account_id", "observation_date")
    own_time = rows[table.contract.time]
    predicates = [keys.account_id == rows.account_id, own_time < keys.observation_date]
    if lookback_days is not None:
        window = ibis.interval(days=lookback_days)
        predicates.append(own_time >= keys.observation_date - window)
    if "recorded_at" in rows.columns:
        recorded = rows.recorded_at.fill_null(own_time)
        predicates.append(recorded < keys.observation_date)
    joined = keys.inner_join(rows, predicates)
    masked = {
        column.name: ibis.ifelse(
            joined[column.known_at] < joined.observation_date,
            joined[column.name],
            ibis.null(joined[column.name].type()),
        )
        for column in table.contract.columns
        if column.known_at is not None
        and column.name in rows.columns
        and column.known_at in rows.columns
    }
    unknowable = [
        column.name
        for column in table.contract.columns
        if column.known_at is not None
        and column.name in rows.columns
        and column.known_at not in rows.columns
    ]
    return without_doubled_keys(joined.mutate(**masked).drop(*unknowable))


SECOND_COPY = "{name} again"
"""What a join calls the right table's copy of a column where no column of a user is to be taken
for one: a signal's name has no blank."""


def without_doubled_keys(joined: ir.Table) -> ir.Table:
    """Drop the second copy of the keys that a join may leave, and nothing else."""
    doubled = {"account_id_right", "observation_date_right"}
    return joined.drop(*(name for name in joined.columns if name in doubled))


def days_between(later: ir.Value, earlier: ir.Value) -> ir.Value:
    """Return the days from one time to another, exact to the microsecond."""
    return later.delta(earlier, unit="microsecond") / 86_400_000_000.0
