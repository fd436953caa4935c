"""Guess which of a stranger's tables fill the contract, from names, keys and what rows are like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from features.tables.mapping.contract import CONTRACT
from pipelines.setup.guessing.amounts import plain_month
from pipelines.setup.guessing.columns import NO_HINTS, Hints, TableGuess, guess_table
from pipelines.setup.guessing.contracts import (
    begin_when_paid,
    drop_what_is_none,
    make_contracts,
)
from pipelines.setup.guessing.evidence import INCLUDED, is_no_use, role_of
from pipelines.setup.guessing.keys import SURELY_INCLUDED, Keys, Reference
from pipelines.setup.guessing.leaving import find_leaving
from pipelines.setup.guessing.names import COLUMN_NAMES, TABLE_NAMES
from pipelines.setup.guessing.sql import in_language_of, named, read_by, table_named
from pipelines.setup.guessing.terms import take_term_end
from pipelines.setup.guessing.unsaid import (
    read_satisfaction,
    tell_failed_payments,
    tell_kind_of_survey,
)
from pipelines.setup.guessing.words import by_name, table_words, words_of

if TYPE_CHECKING:
    from features.sources.source import Source


WHO = ("account", "customer", "company", "client", "organization", "name")
"""What a table of accounts may call the account itself."""
PERSONS = {"users", "members", "subscribers", "people", "user", "member", "subscriber"}
"""Of two tables that the same others point at, the one that is called so holds the accounts."""
BEGAN = "first_contract"
Guess = Callable[[str, str], TableGuess]
"""Guesses the columns of a contract table in a source table."""


def guess_tables(source: Source, hints: Hints = NO_HINTS) -> tuple[list[TableGuess], list[str]]:
    """Guess the contract table of every source table.

    Returns
    -------
    list of TableGuess
        In the order of the contract.
    list of str
        Source tables that fit nothing.
    """
    keys = Keys(source.tables)

    @cache
    def guessed(name: str, table: str) -> TableGuess:
        guess = guess_table(name, table, source, hints)
        if name == "subscriptions":
            owners = {each.column for each in keys.references if each.table == table}
            take_term_end(guess, source, sorted(owners))
        return guess

    chosen = _named(source, keys, guessed)
    if "accounts" not in chosen:
        free = [table for table in source.tables if table not in chosen.values()]
        pointed = [table for table in free if keys.main_key(table) is not None]
        if pointed:
            chosen["accounts"] = max(
                pointed,
                key=lambda table: (keys.reach(table), bool(PERSONS & {*table_words(table)})),
            )
        elif "subscriptions" not in chosen:
            chosen |= _one_table_of_all(free, keys, guessed)
    if "accounts" in chosen:
        contracts = chosen.get("subscriptions")
        named = None if contracts is None else guessed("subscriptions", contracts)
        if named is not None and not {"ended_at", "renewal_at"} & set(named.columns):
            # Called so, and nobody ever leaves it: another table may be what is meant.
            del chosen["subscriptions"]
        timeless = {
            name: chosen.pop(name) for name in [*chosen] if _lacks_time(chosen, name, guessed)
        }
        _choose_by_shape(chosen, keys, source)
        for name, table in timeless.items():
            if table not in chosen.values():
                chosen.setdefault(name, table)
        if named is not None:
            chosen.setdefault("subscriptions", named.source)
    guesses = {name: guessed(name, chosen[name]) for name in CONTRACT if name in chosen}
    if "accounts" in guesses:
        _find_account_key(guesses["accounts"], keys)
        for guess in guesses.values():
            if guess.name != "accounts":
                _find_account(guess, guesses["accounts"], keys)
        _find_contracts_in_accounts(guesses, source)
        _begin_with_contracts(guesses, source)
    else:
        _make_accounts(guesses, source)
    for guess in guesses.values():
        if guess.view is None:
            drop_what_is_none(guess, source.tables[guess.source], trials=hints.trials)
    used: list[str] = []
    paid = guesses.get("subscriptions")
    if paid is not None and not paid.missing:
        others = [table for table in chosen.values() if table != paid.source]
        if not hints.trials and begin_when_paid(paid, source.tables[paid.source]):
            hints = replace(hints, trials=True)
        used = make_contracts(paid, source, keys, others, hints)
        owner = None if "mrr" in paid.columns else chosen.get("accounts")
        if owner is not None and _pays_by_account(paid, owner, source, keys):
            paid.notes.append(
                f"what an account of {owner} pays a month is so today and says"
                " nothing of past dates: map mrr from contracts that keep what was paid"
            )
    find_leaving(guesses, source, keys)
    if "invoices" in guesses:
        tell_failed_payments(guesses["invoices"], source)
    if "tickets" in guesses:
        read_satisfaction(guesses["tickets"], source)
    if "surveys" in guesses:
        tell_kind_of_survey(guesses["surveys"], source)
    used += [each.account_via[0] for each in guesses.values() if each.account_via is not None]
    used += [each.made_from or each.source for each in guesses.values()]
    left = sorted(set(source.tables) - set(chosen.values()) - set(used))
    return [guesses[name] for name in CONTRACT if name in guesses], left


def _pays_by_account(paid: TableGuess, accounts: str, source: Source, keys: Keys) -> bool:
    """Whether each account has one contract at most, and says what a month of it is worth."""
    month = plain_month(source.tables[accounts])
    account = paid.columns.get("account_id")
    if month is None or account not in keys.keys.get(paid.source, []):
        return False
    amount = source.tables[accounts][month]
    return bool(amount.type().is_numeric() and (amount.min() > 0).execute())


def _named(source: Source, keys: Keys, guessed: Guess) -> dict[str, str]:
    """Choose tables that are called as a table of the contract."""
    chosen: dict[str, str] = {}
    people = {table for table in source.tables if _lists_people(table, source, keys)}
    for name, synonyms in TABLE_NAMES.items():
        free = [table for table in source.tables if table not in chosen.values()]
        free = [table for table in free if name != "subscriptions" or table not in people]
        found = by_name(free, (name, *synonyms))
        if name == "accounts" and found is not None:
            # Of several that are called so, the one that the others point at.
            alike = [table for table in free if by_name([table], (name, *synonyms))]
            found = max(alike, key=lambda table: (keys.reach(table), table == found))
        if found is not None:
            chosen[name] = found
    for name, synonyms in TABLE_NAMES.items():
        if name not in chosen:
            free = [table for table in source.tables if table not in chosen.values()]
            free = [table for table in free if name != "subscriptions" or table not in people]
            found = _by_ending(free, (name, *synonyms), name, guessed)
            chosen |= {name: found} if found is not None else {}
    return chosen


def _lists_people(table: str, source: Source, keys: Keys) -> bool:
    """Whether a table says which person is of which account, and is no contract of either."""
    person = by_name(source.tables[table].columns, ("user_id", *COLUMN_NAMES["user_id"]))
    owners = {each.column: each.owner for each in keys.references if each.table == table}
    return person in owners and len({*owners.values()}) > 1


def _one_table_of_all(free: list[str], keys: Keys, guessed: Guess) -> dict[str, str]:
    """Find the only table that names each account once and says when it began and ended."""
    fitting = [
        table
        for table in free
        if by_name(keys.keys[table], ("id", *WHO))
        and {"started_at", "ended_at"} <= set(guessed("subscriptions", table).columns)
    ]
    return {"accounts": fitting[0]} if len(fitting) == 1 else {}


def _by_ending(
    tables: Iterable[str], wanted: Iterable[str], name: str, guessed: Guess
) -> str | None:
    """Find the only table whose name ends with one of the names, and whose columns fit.

    Loaders, modellers and browsers put words before names and dates after them, as in
    ``stg_crm__tickets`` and ``invoices_2024-05-01 (1)``.
    """
    words = {table: table_words(table) for table in tables}
    for each in wanted:
        ending = table_words(each)
        alike = [
            table
            for table, parts in words.items()
            if parts[-len(ending) :] in (ending, [*ending[:-1], ending[-1].removesuffix("s")])
        ]
        if name == "usage_events":
            alike = [table for table in alike if not is_no_use(table)]
            alike = [table for table in alike if not _is_of_money(guessed(name, table).unused)]
        fitting = [t for t in alike if set(guessed(name, t).missing) <= {"account_id"}]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _is_of_money(columns: Iterable[str]) -> bool:
    """Whether events are what was billed: to be billed is no use."""
    return any({"mrr", "arr", "revenue"} & set(words_of(name)) for name in columns)


def _lacks_time(chosen: dict[str, str], name: str, guessed: Guess) -> bool:
    """Whether a table is called so and does not say when its rows happened, as another may."""
    return name in ("usage_events", "tickets") and (
        CONTRACT[name].time in guessed(name, chosen[name]).missing
    )


def _choose_by_shape(chosen: dict[str, str], keys: Keys, source: Source) -> None:
    """Give a table that points at the accounts the role that its rows are like."""
    owner = chosen["accounts"]
    alike: dict[str, list[str]] = {}
    for table in source.tables:
        pointing = [] if table in chosen.values() else _pointing(table, owner, keys)
        role = _role(source, table, pointing[0].column) if pointing else None
        if role == "usage_events" and _is_of_money(source.tables[table].columns):
            continue
        if role is not None and role not in chosen:
            alike.setdefault(role, []).append(table)
    if "usage_events" in alike:
        # What happens most often is use; the others are lists of people and the like.
        counts = {table: _rows(source, table) for table in alike["usage_events"]}
        alike["usage_events"] = [max(counts, key=lambda table: counts[table])]
    # Of two that are alike nobody knows which is meant.
    chosen |= {role: tables[0] for role, tables in alike.items() if len(tables) == 1}


def _pointing(table: str, owner: str, keys: Keys) -> list[Reference]:
    """List how a table points at accounts: itself, else through one other table."""
    through = {each.table for each in keys.references if each.owner == owner}
    direct = keys.between(table, owner)
    return direct or [each for other in sorted(through) for each in keys.between(table, other)]


def _role(source: Source, table: str, column: str) -> str | None:
    return role_of(source.tables[table], column, table)


def _rows(source: Source, table: str) -> int:
    return int(source.tables[table].count().execute())


def _find_account_key(guess: TableGuess, keys: Keys) -> None:
    """Take the column that the other tables point at for the account's, whatever its name."""
    key = keys.main_key(guess.source)
    named = guess.columns.get("account_id")
    if key is None and named is None:
        key = by_name(keys.keys[guess.source], ("id", *WHO))
    pointed = {each.key for each in keys.references if each.owner == guess.source}
    if key is None or key == named or named in pointed or key in _roles(guess):
        return
    _move(guess, key)
    if not pointed:
        guess.notes.append(f"{key} is never twice in {guess.source}, so it is account_id")
        return
    guess.notes.append(
        f"{key} is unique in {guess.source} and found in other tables, so it is account_id"
    )


def _roles(guess: TableGuess) -> set[str]:
    return {origin for name, origin in guess.columns.items() if name not in ("account_id", "name")}


def _move(guess: TableGuess, origin: str) -> None:
    """Make a column the account's, and free the one that was taken by its name."""
    before = guess.columns.pop("account_id", None)
    guess.unused += [before] if before is not None else []
    guess.columns = {name: each for name, each in guess.columns.items() if each != origin}
    if origin in {column.name for column in CONTRACT[guess.name].all_columns()} - {"account_id"}:
        # An empty text switches a column of the contract's own name off.
        guess.columns[origin] = ""
    guess.columns = {"account_id": origin, **guess.columns}
    if origin in guess.unused:
        guess.unused.remove(origin)
    if "account_id" in guess.missing:
        guess.missing.remove("account_id")


def _find_account(guess: TableGuess, accounts: TableGuess, keys: Keys) -> None:
    """Find by values how a table points at the accounts: itself, or through one other table."""
    key = accounts.columns.get("account_id")
    pointing = keys.between(guess.source, accounts.source)
    direct = [each for each in pointing if each.key == key]
    named = guess.columns.get("account_id")
    if any(each.column == named for each in direct):
        return
    if named is not None and not (direct and direct[0].share >= SURELY_INCLUDED):
        return
    if direct:
        _move(guess, direct[0].column)
        guess.notes.append(
            f"{direct[0].column} holds values of {key} in {accounts.source}, so it is account_id"
        )
        return
    for through in [*pointing, *_others(guess.source, accounts.source, keys)]:
        account = key if through.owner == accounts.source else _account_in(through, accounts, keys)
        if account is not None:
            guess.account_via = (through.owner, through.key, account, through.column)
            guess.missing = [name for name in guess.missing if name != "account_id"]
            return


def _others(table: str, owner: str, keys: Keys) -> list[Reference]:
    found = [each for each in keys.references if each.table == table and each.owner != owner]
    return sorted(found, key=lambda each: -each.share)


def _account_in(through: Reference, accounts: TableGuess, keys: Keys) -> str | None:
    key = accounts.columns.get("account_id")
    for each in keys.between(through.owner, accounts.source):
        if each.key == key and each.share >= INCLUDED:
            return each.column
    return None


def _find_contracts_in_accounts(guesses: dict[str, TableGuess], source: Source) -> None:
    """Read contracts from the accounts' own table where it says when each began and ended."""
    accounts = guesses["accounts"]
    told = {"subscriptions", "churn_events", "labels"} & set(guesses)
    if told or "account_id" not in accounts.columns:
        return
    found = guess_table("subscriptions", accounts.source, source)
    found.columns = {"account_id": accounts.columns["account_id"]} | {
        name: origin for name, origin in found.columns.items() if name != "account_id"
    }
    if "ended_at" in found.columns and found.columns["ended_at"] and "started_at" in found.columns:
        found.missing, found.keep = [], list(accounts.keep)
        found.notes.append(f"{accounts.source} says when each account began and ended")
        guesses["subscriptions"] = found
        taken = set(found.columns.values())
        if "created_at" in accounts.missing:
            # Where nothing else does, the contract says since when an account is one.
            accounts.missing.remove("created_at")
            accounts.columns["created_at"] = found.columns["started_at"]
        accounts.unused = [name for name in accounts.unused if name not in taken]


def _begin_with_contracts(guesses: dict[str, TableGuess], source: Source) -> None:
    """Let an account begin with its first contract, where its own table does not say since when."""
    accounts, contracts = guesses["accounts"], guesses.get("subscriptions")
    if accounts.missing != ["created_at"] or contracts is None or contracts.missing:
        return
    start, key = contracts.columns["started_at"], accounts.columns["account_id"]
    kind = source.tables[contracts.source][start].type()
    if contracts.account_via is not None or not (kind.is_timestamp() or kind.is_date()):
        return
    account, table = named(contracts.columns["account_id"]), table_named(contracts.source)
    read_by(
        accounts,
        source,
        "accounts_of_contracts",
        f"SELECT a.*, f.began AS {BEGAN} FROM {table_named(accounts.source)} AS a LEFT JOIN"
        f" (SELECT {account} AS who, MIN({named(start)}) AS began FROM {table} GROUP BY {account})"
        f" AS f ON a.{named(key)} = f.who",
    )
    accounts.columns["created_at"], accounts.missing = BEGAN, []
    accounts.notes.append(
        f"no column says since when an account is one: it begins with its first row of"
        f" {contracts.source}"
    )


def _make_accounts(guesses: dict[str, TableGuess], source: Source) -> None:
    """Make the accounts of the contracts, where no table holds them: each since its first."""
    contracts = guesses.get("subscriptions")
    if contracts is None or contracts.missing:
        return
    account, start = (contracts.columns[name] for name in ("account_id", "started_at"))
    if not (source.tables[contracts.source][start].type().is_timestamp()
            or source.tables[contracts.source][start].type().is_date()):  # fmt: skip
        return
    ids, times, table = named(account), named(start), table_named(contracts.source)
    made = TableGuess("accounts", "accounts_of_contracts")
    made.columns = {"account_id": "account_id", "created_at": "created_at"}
    made.view = in_language_of(
        source,
        f"SELECT {ids} AS account_id, MIN({times}) AS created_at FROM {table}"
        f" WHERE NOT {ids} IS NULL GROUP BY {ids}",
    )
    made.notes.append(
        f"no table holds the accounts: each begins with its first row of {contracts.source}"
    )
    guesses["accounts"] = made
