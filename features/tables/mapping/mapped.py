"""A source table under contract names: which columns fill it, whose rows they are, which count."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from features.errors import DataError, nearest, sample
from features.sources.files.json_columns import HOLDERS
from features.sources.files.plain_forms import MANY_COLUMNS, without_missing_words
from features.sources.source import Source, same_name
from features.tables.mapping.contract import ACCOUNT_ID, CONTRACT, Column, Kind, Table
from features.tables.mapping.copies import copies_in, latest_versions, without_copies
from features.tables.mapping.ends import Period
from features.tables.mapping.finding import Finding
from features.tables.mapping.keep import kept_rows, without_listed
from features.tables.mapping.mapping import TableMapping

TYPES: dict[Kind, str] = {
    "id": "string",
    "time": "timestamp",
    "text": "string",
    "number": "float64",
    "flag": "boolean",
}


TOTAL_ROW = (
    "^((grand |sub ?|overall )?totals?|sum|summe|gesamt(summe)?|somme|suma|totale|totaal):?$"
)


@dataclass(frozen=True)
class MappedTable:
    """One contract table over a source table, values untouched.

    Parameters
    ----------
    contract : Table
        What it fills.
    source_name : str
        The table's name in the source.
    source : ibis table
        All columns of the source, of the rows that count.
    raw : ibis table
        Mapped columns under their contract names, and attributes under their own.
    attributes : tuple of str
        For accounts: descriptive columns; for snapshots: all others.
    left_out : dict of str to ibis table
        What is said of rows that do not count, and those rows.
    notes : tuple of Finding
        What is said of copies.
    decided : tuple of str
        What was decided of its file.
    covers : {"week", "month", "quarter"} or None
        What a row sums up, from its own time on.
    """

    contract: Table
    source_name: str
    source: ir.Table
    raw: ir.Table
    attributes: tuple[str, ...] = ()
    left_out: dict[str, ir.Table] = field(default_factory=dict)
    notes: tuple[Finding, ...] = ()
    decided: tuple[str, ...] = ()
    covers: Period | None = None

    def columns(self) -> list[Column]:
        """List the contract columns that are filled."""
        names = [name for name in self.raw.columns if name not in self.attributes]
        return [self.contract.column(name) for name in names]


def map_table(
    name: str,
    mapping: TableMapping,
    source: Source,
    *,
    is_dated: bool = True,
    may_have_copies: bool = True,
) -> MappedTable:
    """Find the columns of a contract table in its source table, and the rows that count.

    Without dates accounts may lack ``created_at``. Copies are looked for where there may be any.

    Raises
    ------
    DataError
        When a mapped table or column is missing, or one column fills two.
    """
    contract = CONTRACT[name]
    source_name = mapping.source or name
    asked = f"[tables.{name}]"
    table = source.table(source_name, asked)
    optional = () if is_dated else ("created_at",)
    mapped = _mapped_columns(contract, mapping, table, source_name, optional)
    spelled = {mapped[c.name] for c in _of(contract, mapped) if c.kind in ("id", "text")}
    if mapping.account_via is not None:
        spelled.add(mapping.account_via.own)
    table = source.table(source_name, asked, as_written=spelled)
    attributes = _attributes(contract, mapping, mapped, table, source_name)
    about = source.about(source_name)
    _refuse_today_only(mapped, about.today_only, contract, source_name)
    table = _narrowed(table, {*spelled, *mapped.values(), *attributes}, mapping)
    table, left_out = kept_rows(table, mapping.keep, source_name, f"tables.{name}")
    left_out = {**about.left_out, **left_out}
    if mapping.leave_out:
        key, named = mapped["account_id"], mapped.get("name")
        table, listed = without_listed(table, mapping.leave_out, key, named)
        left_out |= listed
    if source.is_text(source_name):
        table = _without_blanks(table)
    if source.is_text(source_name) or about.may_hold_totals:
        table, left_out = _without_totals(contract, table, mapped, left_out)
    notes: list[Finding] = []
    if may_have_copies:
        table, notes = _without_copies(contract, table, mapped, source, mapping)
    selected = {column: table[origin] for column, origin in mapped.items()}
    selected |= {attribute: table[attribute] for attribute in attributes}
    if mapping.account_via is not None:
        joined, selected["account_id"] = _join_account(name, mapping, table, source)
        selected |= {
            column: joined[expression.get_name()]
            for column, expression in selected.items()
            if column != "account_id"
        }
        raw = joined.select(**selected)
    else:
        raw = table.select(**selected)
    columns = _of(contract, [name for name in selected if name not in attributes])
    raw = raw.mutate(**{c.name: _typed_if_empty(raw[c.name], c) for c in columns})
    return MappedTable(
        contract,
        source_name,
        table,
        raw,
        attributes,
        left_out,
        (*notes, *_of_today(attributes, about.today_only)),
        about.notes,
        mapping.covers,
    )


_SAID_OF_ROWS = re.compile("status|state|currency|ccy", re.I)


def _narrowed(table: ir.Table, asked: Collection[str], mapping: TableMapping) -> ir.Table:
    """Take what is asked of a very wide table, as every query plans all that it is of.

    Copies are rows that are alike in everything, so a table that may hold some stays whole.
    """
    if len(table.columns) <= MANY_COLUMNS:
        return table
    asked = {*asked, table.columns[0], *(rule.column for rule in mapping.keep)}
    folded = {name.casefold() for name in asked}
    few = table.select(*(name for name in table.columns
                         if name.casefold() in folded or _SAID_OF_ROWS.search(name)))  # fmt: skip
    return table if copies_in(few)[1] else few


def _without_blanks(table: ir.Table) -> ir.Table:
    """Leave out rows that hold nothing but delimiters; of a wide file they are left out before."""
    if len(table.columns) > MANY_COLUMNS:
        return table
    return table.filter(ibis.or_(*(_is_written(table[name]) for name in table.columns)))


def _is_written(value: ir.Value) -> ir.BooleanValue:
    return value.strip() != "" if value.type().is_string() else value.notnull()


def _without_totals(
    contract: Table, table: ir.Table, mapped: dict[str, str], left_out: dict[str, ir.Table]
) -> tuple[ir.Table, dict[str, ir.Table]]:
    """Leave out the line under a list that sums it up: it begins with a word and has no time."""
    time = mapped.get(contract.time)
    if time is None:
        return table, left_out
    first = table[table.columns[0]].cast("string").strip().lower()
    has_time = without_missing_words(table[time].cast("string")).notnull()
    is_total = (first.re_search(TOTAL_ROW) & ~has_time).fill_null(False)
    totals = table.filter(is_total)
    return table.filter(~is_total), {**left_out, "rows are totals and are left out": totals}


def _of(contract: Table, mapped: Iterable[str]) -> list[Column]:
    return [contract.column(name) for name in mapped]


def _without_copies(
    contract: Table,
    table: ir.Table,
    mapped: dict[str, str],
    source: Source,
    mapping: TableMapping,
) -> tuple[ir.Table, list[Finding]]:
    """Count every row once, and every ticket."""
    drop = None if mapping.copies is None else mapping.copies == "drop"
    ticket, account = mapped.get("ticket_id"), mapped.get("account_id")
    if ticket and account and drop is not False and not copies_in(table.select(account, ticket))[1]:
        # Where no two rows share a key none are alike, and a look at the key is enough.
        return table, []
    table, notes = without_copies(
        *(contract.name, table, mapped, source.engine.keep, drop), source.engine.remembered
    )
    # Where rows say when they were recorded each version counts in its own time.
    if ticket and account and "recorded_at" not in mapped and drop is not False:
        times = [mapped[c.name] for c in _of(contract, mapped) if c.kind == "time"]
        others = [origin for origin in mapped.values() if origin not in times]
        table, versions = latest_versions(
            table, account, ticket, times + others, source.engine.keep
        )
        notes = notes + versions
    return table, notes


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
    _refuse_two_roles(mapped, contract, source_name)
    return mapped


def _missing_column(
    origin: str, name: str, contract: Table, columns: Sequence[str], source_name: str
) -> DataError:
    hint = nearest(origin, columns) or f"; its columns are {sample(columns, 12)}"
    holder = next((each for each in columns if each.lower() in HOLDERS), None)
    if holder is not None:
        hint = (
            f"; its values are JSON in '{holder}', which only files and DuckDB are read from as"
            " columns: take them out in a view, [views.NAME] sql"
        )
    return DataError(
        f"Table '{source_name}' has no column '{origin}', needed as {contract.name}.{name}{hint}"
        f" (set it under [tables.{contract.name}])"
    )


def _refuse_today_only(
    mapped: dict[str, str], today_only: Collection[str], contract: Table, source_name: str
) -> None:
    """Let what is so today be a key or a name, and no value of a past date."""
    for column, origin in mapped.items():
        if origin in today_only and column not in ("account_id", "name"):
            raise DataError(
                f"Column '{origin}' of table '{source_name}' says what is so today and cannot be"
                f" {column} of {contract.name}, which is read on past dates; map another column, or"
                " take it off today_only if it never changes"
            )


_RECENCY = re.compile(
    r"(days|weeks|months|hours)_?since|since_?last|recency|(^|_)last_?(login|seen|activ)|_ago$",
    re.I,
)
"""What an attribute is called that is counted back from the day of an extract."""


def _of_today(attributes: Sequence[str], today_only: Collection[str]) -> list[Finding]:
    named = [name for name in attributes if name in today_only or _RECENCY.search(name)]
    if not named:
        return []
    text = (
        f"attributes {sample(named, 6)} say what is so today and count on every date, as if they"
        " had never changed; take them off attributes unless they never do"
    )
    return [Finding("attributes-of-today", text)]


def _refuse_two_roles(mapped: dict[str, str], contract: Table, source_name: str) -> None:
    """One column says one thing: an end that is also a renewal would foretell itself."""
    roles: dict[str, list[str]] = {}
    for column, origin in mapped.items():
        roles.setdefault(origin, []).append(column)
    for origin, columns in roles.items():
        if len(columns) > 1:
            raise DataError(
                f"Column '{origin}' of table '{source_name}' cannot be both {columns[0]} and"
                f' {columns[1]} of {contract.name}; set one of them to "" under'
                f" [tables.{contract.name}]"
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


def clean_id(raw: ir.Value) -> ir.StringValue:
    """Return ids as text, as they are written; a word for nothing is none."""
    if raw.type().is_integer():
        return raw.cast("string")
    if not raw.type().is_floating():
        return without_missing_words(raw.cast("string"))
    # Some tools know no missing integer and write 7 as 7.0, which would not join with "7".
    whole = raw.try_cast("int64")
    text = ibis.ifelse(whole.cast("float64") == raw, whole.cast("string"), raw.cast("string"))
    return ibis.ifelse(raw.isnan() | raw.isinf(), ibis.null("string"), text)


def _typed_if_empty(raw: ir.Value, column: Column) -> ir.Value:
    """Give a column without any value the contract's type: files call such a column anything."""
    kind = raw.type()
    moment, number = kind.is_timestamp() or kind.is_date(), kind.is_numeric() or kind.is_boolean()
    fits = kind.is_string() or (moment if column.kind == "time" else number)
    if not fits and not bool(raw.notnull().any().execute()):
        return ibis.null(TYPES[column.kind]).name(column.name)
    return raw


def _join_account(
    name: str, mapping: TableMapping, table: ir.Table, source: Source
) -> tuple[ir.Table, ir.Value]:
    via = mapping.account_via
    assert via is not None
    asked = f"[tables.{name}] account_via"
    owner = source.table(via.table, asked, as_written=(via.key, via.account_id))
    for holder, column in ((table, via.own), (owner, via.key), (owner, via.account_id)):
        if column not in holder.columns:
            held = via.table if holder is owner else mapping.source or name
            raise DataError(
                f"Table '{held}' has no column '{column}', needed by [tables.{name}]"
                f" account_via{nearest(column, holder.columns)}"
            )
    account = clean_id(owner[via.account_id])
    key = clean_id(owner[via.key])
    owners = owner.group_by(__key=key).aggregate(__account=account.min(), __n=account.nunique())
    # A key of two accounts belongs to neither: the row is counted as one without an account.
    owners = owners.filter(owners["__n"] == 1).drop("__n")
    joined = table.left_join(owners, clean_id(table[via.own]) == owners["__key"])
    return joined, joined["__account"].name(ACCOUNT_ID.name)
