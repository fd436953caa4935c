"""Raw source columns → contract columns: types, zones and impossible values.

A value that cannot be read or cannot be true becomes missing, and :mod:`features.tables.quality`
counts it. Nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.errors import DataError
from features.sources.files.plain_forms import without_missing_words
from features.tables.mapping.contract import Column, Table
from features.tables.mapping.ends import is_no_end, last_day_of, with_last_day
from features.tables.mapping.finding import Finding
from features.tables.mapping.mapped import MappedTable, clean_id
from features.tables.mapping.month_names import with_numbers
from features.tables.mapping.reading_settings import ReadingSettings
from features.tables.mapping.written import FALSE_WORDS, TRUE_WORDS
from features.tables.reading.forms import PLAIN, Form, Forms
from features.tables.reading.values import read_number, read_time

CREDIT_NOTES = "invoices of a negative amount are credit notes and are left out"
ZONE_PATTERN = r"\d{1,2}:\d{2}.*(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
CLOCK_PATTERN = r"\d{1,2}:\d{2}"
EARLIEST, LATEST = datetime(1900, 1, 1), datetime.max
"""Outside lie typing errors, infinity and two-digit years: the engine reads 13/1/24 as year 13."""


@dataclass(frozen=True)
class CleanTable:
    """One contract table over a source table.

    Parameters
    ----------
    contract : Table
        What it fills.
    source_name : str
        The table's name in the source.
    raw : ibis table
        Mapped columns under their contract names, values untouched.
    cleaned : ibis table
        The same rows with contract types; impossible values are missing, and the own time that a
        row lacks is filled from ``time_else``. Rows without an account or without their own time
        are left out; an account without ``created_at`` stays, for its subscriptions say when it
        was there.
    attributes : tuple of str
        For accounts: descriptive columns, under their own names; for snapshots: all others.
    forms : mapping of (contract table, column) to Form
        How values were read.
    source : ibis table or None
        All columns of the source, of the rows that count.
    left_out : dict of str to ibis table
        What is said of rows that do not count, and those rows.
    notes : tuple of Finding
        What is said of copies and of ends.
    decided : tuple of str
        How values are read where they could be read in two ways.
    own_time : ibis value or None
        The column of ``raw`` that the rows' own time is, where it is that as it is.
    """

    contract: Table
    source_name: str
    raw: ir.Table
    cleaned: ir.Table
    attributes: tuple[str, ...] = ()
    forms: Forms = field(default_factory=dict)
    source: ir.Table | None = None
    left_out: dict[str, ir.Table] = field(default_factory=dict)
    notes: tuple[Finding, ...] = ()
    decided: tuple[str, ...] = ()
    own_time: ir.Value | None = None

    @property
    def is_dated(self) -> bool:
        """Whether rows say when they happened; an open table may leave that out."""
        own = (self.contract.time, self.contract.time_else)
        return any(name in self.raw.columns for name in own)

    def form(self, column: str) -> Form:
        """Return how a column's values were read."""
        return self.forms.get((self.contract.name, column), PLAIN)

    def has(self, *columns: str) -> bool:
        """Whether the user's table fills all these contract columns."""
        return all(column in self.cleaned.columns for column in columns)

    def since(self, first: datetime) -> CleanTable:
        """Leave out rows from before a time, which files that hold none are not read for."""
        rows = self.cleaned
        if self.own_time is not None:
            rows = from_source(rows, self.own_time, lambda own: own >= _at(first))
        return replace(self, cleaned=rows.filter(rows[self.contract.time] >= _at(first)))


def from_source(
    rows: ir.Table, column: ir.Value, holds: Callable[[ir.Value], ir.BooleanValue]
) -> ir.Table:
    """Narrow what some rows are made from to where a condition on one of its columns holds.

    Of a value that is computed no engine can tell which stretches of a file hold none; of a column
    as it is written it can.
    """
    (source,) = column.op().relations
    narrow = source.to_expr().filter(holds(column))
    narrowed: ir.Table = rows.op().replace({source: narrow.op()}).to_expr()
    return narrowed


def _at(moment: datetime) -> ir.TimestampScalar:
    return ibis.literal(moment, "timestamp")


def clean_table(table: MappedTable, forms: Forms, reading: ReadingSettings) -> CleanTable:
    """Convert a mapped table to contract types, each column in its form.

    Raises
    ------
    DataError
        When a column's type cannot be converted.
    """
    raw, forms = _with_numbered_months(table, forms)
    contract = table.contract

    def table_form(column: Column) -> Form:
        return forms.get((contract.name, column.name), PLAIN)

    texts = {
        column.name: value
        for column in table.columns()
        if (value := read_text(raw[column.name], column, table_form(column))) is not None
    }
    left_out, billed = dict(table.left_out), raw
    if contract.name == "invoices" and "amount" in raw.columns:
        # Nobody pays a credit note, and nobody owes it.
        form = forms.get((contract.name, "amount"), PLAIN)
        is_credit = (read_number(raw.amount, form) < 0).fill_null(False)
        left_out[CREDIT_NOTES], billed = raw.filter(is_credit), raw.filter(~is_credit)
    read = billed.mutate(**texts) if texts else billed
    expressions: dict[str, ir.Value] = {}
    for column in table.columns():
        form = PLAIN if column.name in texts else table_form(column)
        expressions[column.name] = clean_value(read[column.name], column, table.source_name, form)
    expressions |= {name: _clean_attribute(read[name]) for name in table.attributes}
    if contract.time_else in expressions:
        own = expressions.get(contract.time, ibis.null("timestamp"))
        expressions[contract.time] = own.fill_null(expressions[contract.time_else])
    if table.covers is not None and contract.time in expressions:
        expressions[contract.time] = last_day_of(expressions[contract.time], table.covers)
    if contract.name == "accounts" and contract.time not in expressions:
        expressions[contract.time] = ibis.null("timestamp")
    cleaned = read.select(**expressions)
    rows = cleaned.filter(cleaned.account_id.notnull())
    if contract.name != "accounts" and contract.time in expressions:
        rows = rows.filter(rows[contract.time].notnull())
    decided = [*table.decided]
    decided += [form.note for (name, _), form in forms.items() if name == contract.name]
    notes = list(table.notes)
    if contract.name == "subscriptions":
        rows, last_day, doubts = with_last_day(rows, reading.last_day)
        decided += last_day
        notes += doubts
    return CleanTable(
        contract,
        table.source_name,
        raw,
        rows,
        table.attributes,
        forms=forms,
        source=table.source,
        left_out=left_out,
        notes=tuple(notes),
        decided=tuple(note for note in decided if note),
        own_time=_own_time(table, raw),
    )


def _own_time(table: MappedTable, raw: ir.Table) -> ir.Value | None:
    """Return the own time of rows, where nothing is made of it but a gap."""
    contract = table.contract
    is_filled = contract.time_else in raw.columns or table.covers is not None
    if is_filled or contract.time not in raw.columns:
        return None
    kind = raw[contract.time].type()
    is_plain = kind.is_timestamp() and kind.timezone is None
    return raw[contract.time] if is_plain else None


def read_text(value: ir.Value, column: Column, form: Form) -> ir.Value | None:
    """Read a text as a time or a number; None for anything else.

    It is a step of its own, which is read from then on in the plain form: what becomes of a value
    asks for it several times, and would repeat all that it takes to read it.
    """
    if not value.type().is_string():
        return None
    if column.kind == "time":
        return read_time(value, form)
    return number_of_column(value, column, form) if column.kind == "number" else None


def _with_numbered_months(table: MappedTable, forms: Forms) -> tuple[ir.Table, Forms]:
    """Write months in words as numbers, in a step of its own: its text is long and read often."""
    name = table.contract.name
    named = {column: form for (owner, column), form in forms.items()
             if owner == name and form.is_named}  # fmt: skip
    if not named:
        return table.raw, forms
    numbers = {column: with_numbers(table.raw[column].strip(), form.century)
               for column, form in named.items()}  # fmt: skip
    numbered = {(name, column): replace(form, is_named=False) for column, form in named.items()}
    return table.raw.mutate(**numbers), {**forms, **numbered}


def clean_value(raw: ir.Value, column: Column, source_name: str, form: Form = PLAIN) -> ir.Value:
    """Convert one column to its contract type; what cannot be read or true becomes missing."""
    kind = raw.type()
    if column.kind == "id" and not (kind.is_nested() or kind.is_json()):
        return clean_id(raw)
    if column.kind == "text" and not (kind.is_nested() or kind.is_json()):
        return without_missing_words(raw.cast("string"))
    if column.kind == "time" and (is_time := read_time(raw, form)) is not None:
        moment = ibis.ifelse(is_time.between(EARLIEST, LATEST), is_time, ibis.null("timestamp"))
        if column.may_never_come:
            moment = ibis.ifelse(is_no_end(moment), ibis.null("timestamp"), moment)
        return moment
    if column.kind == "number" and (kind.is_numeric() or kind.is_string() or kind.is_boolean()):
        number = number_of_column(raw, column, form)
        impossible = number.isinf() | number.isnan()
        if column.nonnegative:
            impossible = impossible | (number < 0)
        return ibis.ifelse(impossible, ibis.null("float64"), number)
    if column.kind == "flag":
        if kind.is_boolean():
            return raw
        if kind.is_numeric():
            number = raw.cast("float64")
            return ibis.ifelse(number.isnan(), ibis.null("boolean"), number != 0)
        if kind.is_string():
            word = without_missing_words(raw).strip().lower()
            return ibis.cases(
                (word.isin(TRUE_WORDS), True),
                (word.isin(FALSE_WORDS), False),
                else_=ibis.null("boolean"),
            )
    raise _wrong_type(raw, column, source_name)


NO_SHARES = ("mrr", "amount", "seats", "quantity", "errors", "failed_attempts")
"""Sums and counts, of which a percent says nothing."""


def number_of_column(raw: ir.Value, column: Column, form: Form) -> ir.FloatingValue:
    """Read numbers; a percent is a share, and none of money or of a count."""
    number = read_number(raw, form)
    if not raw.type().is_string() or column.name not in NO_SHARES:
        return number
    return ibis.ifelse(raw.strip().endswith("%"), ibis.null("float64"), number)


def _wrong_type(raw: ir.Value, column: Column, source_name: str) -> DataError:
    wanted = {"time": "dates", "number": "numbers", "flag": "yes/no values"}.get(
        column.kind, "plain values"
    )
    return DataError(
        f"Column '{raw.get_name()}' of table '{source_name}' must hold {wanted} and is of type"
        f" {raw.type()}; map another column or convert it"
    )


def _clean_attribute(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_numeric() and not kind.is_boolean():
        number = raw.cast("float64")
        return ibis.ifelse(number.isinf() | number.isnan(), ibis.null("float64"), number)
    return without_missing_words(raw.cast("string"))
