"""Raw source columns → contract columns: types, zones and impossible values.

A value that cannot be read or cannot be true becomes missing, and :mod:`features.tables.quality`
counts it. Nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.errors import DataError, nearest, sample
from features.sources.source import Source, same_name
from features.tables.contract import ACCOUNT_ID, CONTRACT, Column, Kind, Table
from features.tables.mapping import TableMapping
from features.tables.written import written_number, written_time

TYPES: dict[Kind, str] = {
    "id": "string",
    "time": "timestamp",
    "text": "string",
    "number": "float64",
    "flag": "boolean",
}
TRUE_WORDS = ("true", "t", "yes", "y", "1", "1.0")
FALSE_WORDS = ("false", "f", "no", "n", "0", "0.0")
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
    """

    contract: Table
    source_name: str
    raw: ir.Table
    cleaned: ir.Table
    attributes: tuple[str, ...] = ()

    @property
    def is_dated(self) -> bool:
        """Whether rows say when they happened; an open table may leave that out."""
        own = (self.contract.time, self.contract.time_else)
        return any(name in self.raw.columns for name in own)

    def has(self, *columns: str) -> bool:
        """Whether the user's table fills all these contract columns."""
        return all(column in self.cleaned.columns for column in columns)


def clean_table(
    name: str, mapping: TableMapping, source: Source, *, is_dated: bool = True
) -> CleanTable:
    """Map a source table to the contract; without dates, accounts may lack ``created_at``.

    Raises
    ------
    DataError
        When a mapped table or column is missing, or a column's type cannot be converted.
    """
    contract = CONTRACT[name]
    source_name = mapping.source or name
    table = source.table(source_name, f"[tables.{name}]")
    optional = () if is_dated else ("created_at",)
    mapped = _mapped_columns(contract, mapping, table, source_name, optional)
    attributes = _attributes(contract, mapping, mapped, table, source_name)
    selected = {column: table[origin] for column, origin in mapped.items()}
    selected |= {attribute: table[attribute] for attribute in attributes}
    if mapping.account_via is not None:
        table, selected["account_id"] = _join_account(name, mapping, table, source)
        selected |= {
            column: table[expression.get_name()]
            for column, expression in selected.items()
            if column != "account_id"
        }
    raw = table.select(**selected)
    raw = raw.mutate(
        **{
            column: _typed_if_empty(raw[column], contract.column(column))
            for column in selected
            if column not in attributes
        }
    )
    expressions = {
        column: clean_value(raw[column], contract.column(column), source_name)
        for column in selected
        if column not in attributes
    }
    expressions |= {attribute: _clean_attribute(raw[attribute]) for attribute in attributes}
    if contract.time_else in expressions:
        own = expressions.get(contract.time, ibis.null("timestamp"))
        expressions[contract.time] = own.fill_null(expressions[contract.time_else])
    if name == "accounts" and contract.time not in expressions:
        expressions[contract.time] = ibis.null("timestamp")
    cleaned = raw.select(**expressions)
    kept = cleaned.filter(cleaned.account_id.notnull())
    if name != "accounts" and contract.time in expressions:
        kept = kept.filter(kept[contract.time].notnull())
    return CleanTable(contract, source_name, raw, kept, attributes)


def clean_value(raw: ir.Value, column: Column, source_name: str) -> ir.Value:
    """Convert one column to its contract type; what cannot be read or true becomes missing."""
    kind = raw.type()
    if column.kind == "id" and kind.is_floating():
        # Some tools know no missing integer and write 7 as 7.0, which would not join with "7".
        whole = raw.try_cast("int64")
        text = ibis.ifelse(whole.cast("float64") == raw, whole.cast("string"), raw.cast("string"))
        return ibis.ifelse(raw.isnan() | raw.isinf(), ibis.null("string"), text)
    if column.kind in ("id", "text") and not (kind.is_nested() or kind.is_json()):
        return _clean_text(raw)
    if column.kind == "time" and (kind.is_string() or kind.is_timestamp() or kind.is_date()):
        moment = written_time(raw) if kind.is_string() else raw.cast("timestamp")
        return ibis.ifelse(moment.between(EARLIEST, LATEST), moment, ibis.null("timestamp"))
    if column.kind == "number" and (kind.is_numeric() or kind.is_string() or kind.is_boolean()):
        number = written_number(raw) if kind.is_string() else raw.cast("float64")
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
            word = raw.strip().lower()
            return ibis.cases(
                (word.isin(TRUE_WORDS), True),
                (word.isin(FALSE_WORDS), False),
                else_=ibis.null("boolean"),
            )
    raise _wrong_type(raw, column, source_name)


def _wrong_type(raw: ir.Value, column: Column, source_name: str) -> DataError:
    wanted = {"time": "dates", "number": "numbers", "flag": "yes/no values"}.get(
        column.kind, "plain values"
    )
    return DataError(
        f"Column '{raw.get_name()}' of table '{source_name}' must hold {wanted} and is of type"
        f" {raw.type()}; map another column or convert it"
    )


def _typed_if_empty(raw: ir.Value, column: Column) -> ir.Value:
    """Give a column without any value the contract's type: files call such a column anything."""
    kind = raw.type()
    moment, number = kind.is_timestamp() or kind.is_date(), kind.is_numeric() or kind.is_boolean()
    fits = kind.is_string() or (moment if column.kind == "time" else number)
    if not fits and not bool(raw.notnull().any().execute()):
        return ibis.null(TYPES[column.kind]).name(column.name)
    return raw


def _clean_text(raw: ir.Value) -> ir.Value:
    text = raw.cast("string")
    return ibis.ifelse(text.strip() == "", ibis.null("string"), text)


def _clean_attribute(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_numeric() and not kind.is_boolean():
        number = raw.cast("float64")
        return ibis.ifelse(number.isinf() | number.isnan(), ibis.null("float64"), number)
    return _clean_text(raw)


def _mapped_columns(
    contract: Table,
    mapping: TableMapping,
    table: ir.Table,
    source_name: str,
    optional: Sequence[str],
) -> dict[str, str]:
    mapped: dict[str, str] = {}
    for column in contract.all_columns():
        if column.name == "account_id" and mapping.account_via is not None:
            continue
        wanted = mapping.columns.get(column.name, column.name)
        origin = same_name(wanted, table.columns)
        if origin is not None:
            mapped[column.name] = origin
        elif mapping.columns.get(column.name) or (column.required and column.name not in optional):
            wanted = wanted or column.name
            raise _missing_column(wanted, column.name, contract, table.columns, source_name)
    return mapped


def _missing_column(
    origin: str, name: str, contract: Table, columns: Iterable[str], source_name: str
) -> DataError:
    hint = nearest(origin, columns) or f"; its columns are {sample(columns, 12)}"
    return DataError(
        f"Table '{source_name}' has no column '{origin}', needed as {contract.name}.{name}{hint}"
        f" (set it under [tables.{contract.name}])"
    )


def _attributes(
    contract: Table,
    mapping: TableMapping,
    mapped: dict[str, str],
    table: ir.Table,
    source_name: str,
) -> tuple[str, ...]:
    if contract.is_open:
        taken = {*mapped, *mapped.values()}
        return tuple(column for column in table.columns if column not in taken)
    for attribute in mapping.attributes:
        if attribute not in table.columns:
            hint = nearest(attribute, table.columns)
            raise DataError(
                f"Table '{source_name}' has no column '{attribute}', listed in"
                f" [tables.accounts] attributes{hint or '; take it off the list'}"
            )
        if attribute in mapped:
            raise DataError(
                f"Column '{attribute}' of table '{source_name}' is a contract column and cannot be"
                " an attribute too; take it off [tables.accounts] attributes"
            )
    return mapping.attributes


def _join_account(
    name: str, mapping: TableMapping, table: ir.Table, source: Source
) -> tuple[ir.Table, ir.Value]:
    via = mapping.account_via
    assert via is not None
    owner = source.table(via.table, f"[tables.{name}] account_via")
    for holder, column in ((table, via.key), (owner, via.key), (owner, via.account_id)):
        if column not in holder.columns:
            held = via.table if holder is owner else mapping.source or name
            raise DataError(
                f"Table '{held}' has no column '{column}', needed by [tables.{name}]"
                f" account_via{nearest(column, holder.columns)}"
            )
    account = clean_value(owner[via.account_id], ACCOUNT_ID, via.table)
    key = clean_value(owner[via.key], ACCOUNT_ID, via.table)
    owners = owner.group_by(__key=key).aggregate(__account=account.min(), __n=account.nunique())
    # A key of two accounts belongs to neither: the row is counted as one without an account.
    owners = owners.filter(owners["__n"] == 1).drop("__n")
    own_key = clean_value(table[via.key], ACCOUNT_ID, mapping.source or name)
    joined = table.left_join(owners, own_key == owners["__key"])
    return joined, joined["__account"].name(ACCOUNT_ID.name)
