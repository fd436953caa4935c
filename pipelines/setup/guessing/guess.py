"""Guess which of a stranger's tables and columns fill the contract, from names and values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.builders.owners import names_owner
from features.sources.files.plain_forms import without_none
from features.tables.doubts import status_columns
from features.tables.mapping.contract import CONTRACT, Column
from features.tables.mapping.ends import NO_END, is_no_end
from pipelines.setup.guessing.evidence import (
    INCLUDED,
    account_key,
    can_be,
    is_key,
    is_number_for_time,
    own_time,
    share_included,
    why_not,
)
from pipelines.setup.guessing.names import (
    COLUMN_NAMES,
    MUTABLE_WORDS,
    OUTCOME_WORDS,
    SENSITIVE_WORDS,
    TABLE_NAMES,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

MOST_LEVELS = 50
PERIOD_ENDS = ("currentperiodend", "currenttermend", "currentperiodendsat", "nextbillingat")


@dataclass
class TableGuess:
    """What one source table seems to be.

    Parameters
    ----------
    name, source : str
        Contract name and the table's own.
    columns : dict of str to str
        Contract column to source column, where the names differ.
    missing : list of str
        Required contract columns for which nothing fits.
    account_via : tuple of str or None
        Source table, key and account column, where the account is found through another table.
    unused : list of str
        Columns left over.
    notes : list of str
        What a person should check.
    keep : list of (str, list of str)
        Columns that say that a row is void, and with which words.
    numbers_as_times : str or None
        What numbers under the name of a time are.
    """

    name: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    account_via: tuple[str, str, str] | None = None
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keep: list[tuple[str, list[str]]] = field(default_factory=list)
    numbers_as_times: str | None = None


def guess_tables(source: Source) -> tuple[list[TableGuess], list[str]]:
    """Guess the contract table of every source table.

    Returns
    -------
    list of TableGuess
        In the order of the contract.
    list of str
        Source tables that fit nothing.
    """
    chosen: dict[str, str] = {}
    for name, synonyms in TABLE_NAMES.items():
        free = [table for table in source.tables if table not in chosen.values()]
        found = _by_name(free, (name, *synonyms))
        if found is not None:
            chosen[name] = found
    for name, synonyms in TABLE_NAMES.items():
        if name not in chosen:
            free = [table for table in source.tables if table not in chosen.values()]
            found = _by_ending(free, (name, *synonyms), name, source)
            chosen |= {name: found} if found is not None else {}
    key = account_key(dict(source.tables))
    if "accounts" not in chosen and key is not None and key[0] not in chosen.values():
        chosen["accounts"] = key[0]
    guesses = [guess_table(name, chosen[name], source) for name in CONTRACT if name in chosen]
    for guess in guesses:
        _find_key(guess, key, source)
    for guess in guesses:
        _find_account(guess, guesses, source)
    left = sorted(set(source.tables) - set(chosen.values()))
    return guesses, left


def _by_ending(
    tables: Iterable[str], wanted: Iterable[str], name: str, source: Source
) -> str | None:
    """Find the only table whose name ends with one of the names, and whose columns fit.

    Loaders, modellers and browsers put words before names and dates after them, as in
    ``stg_crm__tickets`` and ``invoices_2024-05-01 (1)``.
    """
    words = {table: _words_alone(table) for table in tables}
    for each in wanted:
        ending = _words_alone(each)
        alike = [
            table
            for table, parts in words.items()
            if parts[-len(ending) :] in (ending, [*ending[:-1], ending[-1].removesuffix("s")])
        ]
        fitting = [t for t in alike if set(guess_table(name, t, source).missing) <= {"account_id"}]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _words_alone(name: str) -> list[str]:
    """Part a name into its words, without numbers."""
    return [word.lower() for word in _words(name).split("_") if word and not word.isdigit()]


def guess_table(name: str, source_name: str, source: Source) -> TableGuess:
    """Guess the columns of one table."""
    table = source.tables[source_name]
    guess = TableGuess(name, source_name)
    free = list(table.columns)
    for column in CONTRACT[name].all_columns():
        fitting = [origin for origin in free if can_be(table, origin, column)]
        origin = _by_name(fitting, (column.name, *COLUMN_NAMES.get(column.name, ())))
        if origin is not None:
            guess.columns[column.name] = origin
            free.remove(origin)
        elif column.required:
            guess.missing.append(column.name)
        if origin is None:
            _explain(guess, table, free, column)
    guess.unused = free
    _find_own_time(guess, table)
    _correct_term_ends(guess, table)
    _note_period_end(guess)
    _drop_void_rows(guess, table)
    return guess


def _find_key(guess: TableGuess, key: tuple[str, str] | None, source: Source) -> None:
    """Take the column that the other tables point at for the account's, whatever its name."""
    if key is None or "account_id" not in guess.missing or key[1] not in guess.unused:
        return
    owner, origin = key
    if guess.name == "accounts" and guess.source != owner:
        return
    table = source.tables[guess.source]
    if (
        guess.source == owner
        or share_included(table, origin, source.tables[owner], origin) >= INCLUDED
    ):
        guess.columns["account_id"] = origin
        guess.missing.remove("account_id")
        guess.unused.remove(origin)
        guess.notes.append(
            f"{origin} is unique in {owner} and found in other tables, so it is account_id"
        )


def _explain(guess: TableGuess, table: ir.Table, free: list[str], column: Column) -> None:
    """Name a column that is there by name and cannot be read, and why; numbers may be times."""
    named = _by_name(free, (column.name, *COLUMN_NAMES.get(column.name, ())))
    if named is None or (guess.name == "accounts" and column.name == "name"):
        return
    number_is = is_number_for_time(table, named) if column.kind == "time" else None
    if number_is is None:
        guess.notes.append(why_not(table, named, column))
        return
    guess.columns[column.name] = named
    free.remove(named)
    # Days written as 20241231 are read so without being told.
    guess.numbers_as_times = None if number_is == "compact" else number_is
    if column.name in guess.missing:
        guess.missing.remove(column.name)
    guess.notes.append(f"{named} holds numbers, which are read as times of kind {number_is!r}")


def _find_own_time(guess: TableGuess, table: ir.Table) -> None:
    """Take the only complete time for when a row happened, whatever its name."""
    contract = CONTRACT[guess.name]
    if contract.time not in guess.missing:
        return
    column = contract.column(contract.time)
    times = [name for name in guess.unused if can_be(table, name, column)]
    found = own_time(table, times)
    if found is None:
        return
    guess.columns[contract.time] = found
    guess.missing.remove(contract.time)
    guess.unused.remove(found)
    guess.notes.append(f"{found} is the only time that every row has, so it is {contract.time}")
    _find_end(guess, table, [name for name in times if name != found])


def _find_end(guess: TableGuess, table: ir.Table, times: list[str]) -> None:
    if guess.name != "subscriptions" or len(times) != 1 or "ended_at" in guess.columns:
        return
    end = times[0]
    guess.columns["ended_at"] = end
    guess.unused.remove(end)
    guess.notes.append(f"{end} is the other time, which some rows lack, so it is ended_at")


def _note_period_end(guess: TableGuess) -> None:
    """Say that a cancelled contract runs to the end of its period, which no history dates."""
    period = next((name for name in guess.unused if _plain(name) in PERIOD_ENDS), None)
    if guess.name != "subscriptions" or period is None:
        return
    guess.notes.append(
        f"{period} says when the period of today ends and is no renewal of the past: it is left out"
    )
    end = guess.columns.get("ended_at", "")
    if "cancel" in end.lower():
        guess.notes.append(
            f"{end} may be the day of the request, and the contract run until {period}: map a"
            " column that says when it ended, if there is one"
        )


def _drop_void_rows(guess: TableGuess, table: ir.Table) -> None:
    """Leave out invoices that a status calls void, draft or the like."""
    if guess.name != "invoices":
        return
    for name, words in status_columns(table).items():
        guess.keep.append((name, words))
        guess.notes.append(f"rows whose {name} is {', '.join(words)} are left out")


def attributes_of(guess: TableGuess, table: ir.Table) -> tuple[list[str], list[str], list[str]]:
    """Sort left-over account columns into attributes, sensitive ones, and those left out."""
    attributes: list[str] = []
    sensitive: list[str] = []
    left: list[str] = []
    stamps = [name for name in guess.unused if MUTABLE_WORDS.search(_words(name))]
    for origin in guess.unused:
        words = _words(origin)
        if origin in stamps or _plain(origin) == "id":
            left.append(origin)
        elif SENSITIVE_WORDS.search(words):
            attributes.append(origin)
            sensitive.append(origin)
        elif names_owner(origin) or OUTCOME_WORDS.search(words) or not _describes(table, origin):
            left.append(origin)
        else:
            attributes.append(origin)
    if stamps:
        # What is overwritten says what is so today; a person knows which of it never changes.
        left += [name for name in attributes if name not in sensitive]
        attributes = list(sensitive)
    return attributes, sensitive, left


def common_features(guess: TableGuess, table: ir.Table, most: int = 8) -> list[str]:
    """List the most used product features, if the table names them."""
    if "feature" not in guess.columns:
        return []
    feature = table[guess.columns["feature"]].cast("string")
    counted = table.select(feature=feature).group_by("feature").aggregate(n=lambda t: t.count())
    top = counted.filter(counted.feature.notnull()).order_by(counted.n.desc(), counted.feature)
    names = [str(name) for name in top.limit(most).execute()["feature"]]
    return [name for name in names if len(name) <= 60]


def _describes(table: ir.Table, origin: str) -> bool:
    """Whether a column is a number or a category rather than free text, a flag or a date."""
    kind = table[origin].type()
    if kind.is_string():
        return int(table[origin].nunique().execute()) <= MOST_LEVELS
    return bool(kind.is_numeric() and not kind.is_boolean())


def _by_name(candidates: Iterable[str], wanted: Iterable[str]) -> str | None:
    plain = {_plain(candidate): candidate for candidate in reversed(list(candidates))}
    for name in wanted:
        found = plain.get(_plain(name)) or plain.get(_plain(name).removesuffix("s"))
        if found is not None:
            return found
    return None


def _words(name: str) -> str:
    """Part a name into words, as in ``Senior_Citizen`` for "SeniorCitizen"."""
    return re.sub(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])", "_", name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _correct_term_ends(guess: TableGuess, table: ir.Table) -> None:
    """Take an end that every row has for the end of a term, not of the relationship."""
    origin = guess.columns.get("ended_at")
    if guess.name != "subscriptions" or origin is None or "renewal_at" in guess.columns:
        return
    if int(table[origin].isnull().sum().execute() or 0) == 0 and not _has_open_ends(table, origin):
        # An empty text switches a column of the contract's own name off.
        guess.columns["ended_at"] = ""
        guess.columns["renewal_at"] = origin
        guess.notes.append(
            f"every row has an {origin}, so it is taken as the end of a term (renewal_at)"
        )


def _has_open_ends(table: ir.Table, origin: str) -> bool:
    """Whether some ends are written as none: NULL, 9999-12-31, 1970-01-01."""
    kind = table[origin].type()
    if kind.is_string():
        text = without_none(table[origin], may_be_open=True)
        year = text.re_extract("(^|[^0-9])([0-9]{4})($|[^0-9])", 2).try_cast("int64")
        none = text.isnull() | ~year.between(NO_END[0].year + 1, NO_END[1].year - 1)
    elif kind.is_timestamp() or kind.is_date():
        none = table[origin].isnull() | is_no_end(table[origin].cast("timestamp"))
    else:
        return False
    return bool(none.fill_null(False).any().execute())


def _find_account(guess: TableGuess, guesses: list[TableGuess], source: Source) -> None:
    if "account_id" not in guess.missing:
        return
    table = source.tables[guess.source]
    for owner in guesses:
        account = owner.columns.get("account_id")
        owners = source.tables[owner.source]
        # Two tables' own keys have nothing to do with each other, though both are called id.
        shared = [
            key
            for key in guess.unused
            if owner is not guess
            and key in owners.columns
            and key.lower().endswith("id")
            and not (is_key(table, key) and is_key(owners, key) and _plain(key) == "id")
            and share_included(table, key, owners, key) >= INCLUDED
        ]
        if account is not None and shared:
            guess.account_via = (owner.source, shared[0], account)
            guess.missing.remove("account_id")
            return
