"""Accounts that were merged into others: their rows are those of the account that was kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from features.packs.views import View
from pipelines.setup.guessing.sql import in_language_of, named, table_named
from pipelines.setup.guessing.words import words_of

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

VIEW, FORMER, KEPT = "accounts_merged", "former_id", "kept_id"
_INTO = re.compile(
    r"(^|_)(merged_(in)?to|merge_target|master_record|survivor|surviving|successor|superseded_by"
    r"|replaced_by|duplicate_of)(_|$)"
)
MOSTLY = 0.9


def follow_mergers(guesses: list[TableGuess], source: Source) -> dict[str, View]:
    """Let rows of an account that was merged count for the one it was merged into.

    Parameters
    ----------
    guesses : list of TableGuess
        What the tables seem to be; changed in place.
    source : Source
        Where they are.

    Returns
    -------
    dict of str to View
        The account that each id stands for now, by up to three mergers; empty where none merged.
    """
    accounts = next((each for each in guesses if each.name == "accounts"), None)
    key = None if accounts is None else accounts.columns.get("account_id")
    if accounts is None or key is None or accounts.missing or VIEW in source.tables:
        return {}
    name = accounts.made_from or accounts.source
    into = _into(source, name, key) if name in source.tables else None
    if into is None:
        return {}
    table, own, other = table_named(name), named(key), named(into)
    text = f"NULLIF(TRIM(CAST({{}}.{other} AS TEXT)), '')"
    sql = (
        f"SELECT CAST(a.{own} AS TEXT) AS {FORMER}, MAX(COALESCE({text.format('c')},"
        f" {text.format('b')}, {text.format('a')}, CAST(a.{own} AS TEXT))) AS {KEPT} FROM {table}"
        f" AS a LEFT JOIN {table} AS b ON {text.format('a')} = CAST(b.{own} AS TEXT) LEFT JOIN"
        f" {table} AS c ON {text.format('b')} = CAST(c.{own} AS TEXT) WHERE NOT a.{own} IS NULL"
        f" GROUP BY CAST(a.{own} AS TEXT)"
    )
    accounts.keep.append((into, "missing", True))
    accounts.unused = [each for each in accounts.unused if each != into]
    accounts.notes.append(
        f"{into} says which account one was merged into, whose rows then count for that one"
    )
    for guess in guesses:
        account = guess.columns.get("account_id")
        if guess is not accounts and guess.account_via is None and account:
            del guess.columns["account_id"]
            guess.account_via = (VIEW, FORMER, KEPT, account)
    return {VIEW: View(sql=in_language_of(source, sql))}


def _into(source: Source, name: str, key: str) -> str | None:
    """Return the column that holds ids of the same table, of accounts that are there."""
    table = source.tables[name]
    for column in table.columns:
        if not _INTO.search("_".join(words_of(column))) or column == key:
            continue
        text = table.select(v=table[column].cast("string").strip(), k=table[key].cast("string"))
        held = text.filter(lambda t: t.v.notnull() & (t.v != ""))
        facts = held.aggregate(
            all=held.count(),
            there=held.v.isin(text.k).sum(),
            itself=(held.v == held.k).sum(),
            rows=lambda t: t.count(),
        )
        row = facts.execute().iloc[0].fillna(0)
        if row["all"] and row["there"] >= MOSTLY * row["all"] and not row["itself"]:
            return str(column)
    return None
