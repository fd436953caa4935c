"""Whose rows they are: rows of accounts that are not among the accounts, and why that may be."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from features.errors import DataError, sample
from features.tables.cleaning import CleanTable
from features.tables.reading.evidence import Counts

NEVER_LEFT_OUT = ("accounts", "subscriptions", "churn_events", "labels")
FEWEST_ROWS = 10
"""Fewer rows of unknown accounts are counted, however few are known."""
_WAYS: dict[str, Callable[[ir.StringValue], ir.StringValue]] = {
    "differ by leading zeros": lambda text: text.re_replace("^0+", ""),
    "differ by case or blanks": lambda text: text.strip().lower(),
    "differ by a prefix": lambda text: text.strip().lower().re_replace(_PREFIX, r"\1\2"),
    "differ by '.0' at their end": lambda text: text.re_replace("[.]0+$", ""),
}
_PREFIX = "^[a-z]+(?:[-_:#./ ]+(.)|([0-9]))"
"""Letters before a sign or a digit; an id that is letters alone has none."""
TRIED = "leading zeros, case, blanks, prefixes, '.0' and other columns were tried"
MOST_COLUMNS = 40
"""Of the columns of a table so many are looked at for the ids of another."""


def links_to_accounts(
    table: CleanTable, accounts: CleanTable, by_account: ir.Table | None = None
) -> Counts:
    """Count the rows of unknown accounts and those from before their account.

    Rows that were put together by account are looked up together: there are far fewer accounts.

    Raises
    ------
    DataError
        When no row at all of a table belongs to an account.
    """
    known = accounts.cleaned.select(__known="account_id", __created="created_at")
    rows = table.cleaned
    if by_account is not None:
        together = _linked_together(by_account, known)
        if together is not None:
            return _judged(together, table, accounts)
    joined = rows.left_join(known, rows.account_id == known["__known"])
    orphan = joined["__known"].isnull() & joined.account_id.notnull()
    own_time = joined[table.contract.time] if table.is_dated else ibis.null("timestamp")
    early = own_time < joined["__created"].truncate("D")
    counts: dict[str, float | str | None] = (
        joined.aggregate(
            linked=joined["__known"].count(),
            unknown=orphan.sum(),
            unknown_example=joined.account_id.min(where=orphan),
            early=early.sum(),
        )
        .execute()
        .iloc[0]
        .to_dict()
    )
    return _judged(counts, table, accounts)


def _linked_together(grouped: ir.Table, known: ir.Table) -> dict[str, float | str | None] | None:
    """Count by accounts; None where rows before their account must be looked at."""
    joined = grouped.left_join(known, grouped.account_id == known["__known"])
    orphan = joined["__known"].isnull()
    counts: dict[str, float | str | None] = (
        joined.aggregate(
            linked=joined["rows"].sum(where=~orphan),
            unknown=joined["rows"].sum(where=orphan),
            unknown_example=joined.account_id.min(where=orphan),
            early=(joined["first"] < joined["__created"].truncate("D")).sum(),
        )
        .execute()
        .iloc[0]
        .to_dict()
    )
    early = counts["early"]
    return None if isinstance(early, float | int) and early > 0 else counts


def _judged(
    counts: dict[str, float | str | None], table: CleanTable, accounts: CleanTable
) -> Counts:
    """Say what would make unknown ids known.

    Raises
    ------
    DataError
        When no row at all of a table belongs to an account.
    """
    rows = table.cleaned
    unknown = int(counts["unknown"] or 0) if counts["unknown"] == counts["unknown"] else 0
    if unknown:
        counts["unknown_hint"] = _hint(rows, accounts.cleaned)
    if unknown >= FEWEST_ROWS and not int(counts["linked"] or 0):
        hint = counts["unknown_hint"] or _hint_of_columns(table, accounts) or f" ({TRIED})"
        section = f"[tables.{table.contract.name}]"
        without = "" if table.contract.name in NEVER_LEFT_OUT else (
            f", or take {section} out: its signals are then off"
        )  # fmt: skip
        raise DataError(
            f"No row of table '{table.source_name}' belongs to an account: its account_id, such as"
            f" {sample([counts['unknown_example']])}, is in none of {unknown:,} rows one of table"
            f" '{accounts.source_name}'{hint}; correct account_id under {section} or the"
            f" data{without}"
        )
    return counts


def _hint(rows: ir.Table, accounts: ir.Table) -> str:
    """Say what would make unknown ids known, and of how many."""
    ids = rows.select(id="account_id").distinct()
    known = accounts.select(known="account_id").distinct()
    matched = ids.anti_join(known, ids.id == known.known)
    # All in one statement, as writing one takes longer than running it.
    for words, way in _WAYS.items():
        like = known.select(way(known.known).name(words)).distinct()
        matched = matched.left_join(like, way(matched.id) == like[words])
    measures = {words: matched[words].count() for words in _WAYS}
    row = matched.aggregate(total=matched.count(), **measures).execute().iloc[0]
    counted = {name: int(count) for name, count in row.items()}
    words = max(_WAYS, key=lambda each: counted[each])
    if not counted[words]:
        return ""
    return f" ({counted[words]:,} of {counted['total']:,} such ids {words})"


def _hint_of_columns(table: CleanTable, accounts: CleanTable) -> str:
    """Say which column of either table holds the ids of the other, where one does."""
    for holder, ids in ((table, accounts.cleaned), (accounts, table.cleaned)):
        if holder.source is None:
            continue
        names = [name for name in holder.source.columns[:MOST_COLUMNS]
                 if holder.source[name].type().is_string()
                 or holder.source[name].type().is_integer()]  # fmt: skip
        known = ids.select(id="account_id").distinct()
        found = {}
        for name in names:
            values = holder.source.select(id=holder.source[name].cast("string")).distinct()
            found[name] = int(values.semi_join(known, "id").count().execute())
        best = max(found, key=lambda name: found[name], default=None)
        if best is not None and 2 * found[best] > min(int(known.count().execute()), FEWEST_ROWS):
            other = accounts if holder is table else table
            return (
                f" (column {sample([best])} of table '{holder.source_name}' holds"
                f" {found[best]:,} of the ids of '{other.source_name}')"
            )
    return ""
