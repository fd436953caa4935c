"""Copies: an export appended twice, and one ticket written several times."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import ibis
import ibis.expr.types as ir

from features.sources.engines.engine import NOTHING, Remembered
from features.tables.mapping.finding import Finding

Keep = Callable[[str, ir.Table], ir.Table]
"""Computes a step once, in the engine."""
LARGE = ("usage_events",)
"""Tables of which a row may rightly be there twice, and all are too many to compare."""
SAMPLED_ACCOUNTS = 50
APPENDED_ROWS, APPENDED_SHARE = 50, 0.2
_KEY_NAME = re.compile(r"(^|_|[a-z])(id|key|number|uuid|guid|no)$", re.I)


def without_copies(
    name: str,
    table: ir.Table,
    mapped: Mapping[str, str],
    compute: Keep,
    drop: bool | None,
    remembered: Remembered = NOTHING,
) -> tuple[ir.Table, list[Finding]]:
    """Leave out rows that are alike in every column of the source.

    Parameters
    ----------
    name : str
        Contract name of the table.
    table : ibis table
        The source table.
    mapped : mapping of str to str
        Contract column to source column.
    compute : callable
        Computes a step once.
    drop : bool or None
        Whether copies are left out; by default they are where a row has a key, where a whole export
        was appended, and of accounts.
    remembered : Remembered
        What need not be looked at again.

    Returns
    -------
    ibis table
        The rows that count.
    list of Finding
        What was seen of copies.
    """
    kinds = table.schema().types
    if any(kind.is_nested() or kind.is_json() or kind.is_binary() for kind in kinds):
        return table, []
    if name in LARGE and drop is not True:
        if drop is False:
            return table, []
        doubts, events = _repeated_events(table, mapped, remembered)
        if events is None or not (_is_doubled(events) and _is_doubled(table)):
            return table, doubts
        return _without_seconds(table, compute)
    if drop is False:
        return table, []
    # Rows that are alike are alike in the mapped columns: most tables need no look at the others.
    few = table.select(*dict.fromkeys(mapped.values()))
    if not copies_in(few)[1] or not (copies := copies_in(table)[1]):
        return table, []
    single = compute("without_copies", table.distinct())
    if drop or name == "accounts" or _is_appended(table, copies) or _has_key(single, mapped):
        text = f"{copies:,} rows are exact copies of another and are left out"
        return single, [Finding("copies-left-out", text)]
    text = (
        f"{copies:,} rows are exact copies of another and count, as nothing says that they are"
        f' one; set copies = "drop" or "keep" under [tables.{name}]'
    )
    return table, [Finding("copies-counted", text)]


def _is_appended(table: ir.Table, copies: int) -> bool:
    """Whether so many rows are copies that a whole export was appended."""
    rows = int(table.count().execute())
    return rows >= APPENDED_ROWS and copies >= APPENDED_SHARE * rows


def _has_key(single: ir.Table, mapped: Mapping[str, str]) -> bool:
    """Whether a column names each row, so that two rows with all the same are one."""
    ids = [name for name in single.columns if _KEY_NAME.search(name)]
    ids = [name for name in ids if name != mapped.get("account_id")]
    if not ids:
        return False
    counts = single.aggregate(
        rows=single.count(), **{f"n{i}": single[n].nunique() for i, n in enumerate(ids)}
    )
    row = counts.execute().iloc[0]
    return any(int(row[f"n{i}"]) == int(row["rows"]) for i in range(len(ids)))


def copies_in(table: ir.Table) -> tuple[int, int]:
    """Count the rows, and those that are alike in every column to one before them."""
    each = table.group_by(table.columns).aggregate(__n=lambda rows: rows.count())
    counts = each.aggregate(rows=each["__n"].sum(), single=each.count()).execute().iloc[0]
    rows = 0 if counts["rows"] != counts["rows"] else int(counts["rows"] or 0)
    return rows, rows - int(counts["single"])


def _repeated_events(
    table: ir.Table, mapped: Mapping[str, str], remembered: Remembered
) -> tuple[list[Finding], ir.Table | None]:
    """Look for copies among the events of a few accounts: a user may do a thing twice a second.

    Returns
    -------
    list of Finding
        What was seen.
    ibis table or None
        The events that were looked at, where there are copies.
    """
    account = mapped.get("account_id")
    if account is None:
        return [], None
    events = remembered.each(table, lambda rows: _of_first_accounts(rows, account))
    if remembered.covers(table):
        # The first accounts of all are among the first of every part that holds them.
        events = _of_first_accounts(events, account)
    rows, copies = copies_in(events)
    if rows < APPENDED_ROWS or copies < 0.01 * rows:
        return [], None
    text = (
        f"{copies / rows:.0%} of the rows of the first accounts are exact copies of another and"
        ' count; if the export holds them twice, set copies = "drop"'
    )
    return [Finding("events-repeated", text)], events


def _is_doubled(rows: ir.Table) -> bool:
    """Whether each row is there an even number of times, as no business makes it."""
    each = rows.group_by(rows.columns).aggregate(__n=lambda t: t.count())
    return not bool((each["__n"] % 2 == 1).any().execute())


def _without_seconds(table: ir.Table, compute: Keep) -> tuple[ir.Table, list[Finding]]:
    """Leave out every second of the rows that are alike: what was done twice was done twice."""
    place = ibis.row_number().over(group_by=[table[name] for name in table.columns])
    rows = table.mutate(__place=place)
    single = compute("without_copies", rows.filter(rows["__place"] % 2 == 0).drop("__place"))
    text = (
        f"{int(single.count().execute()):,} rows are exact copies of another, as every row is there"
        ' twice, and are left out; set copies = "keep" if they are none'
    )
    return single, [Finding("copies-left-out", text)]


def _of_first_accounts(rows: ir.Table, account: str) -> ir.Table:
    some = rows.select(account).distinct().order_by(account).limit(SAMPLED_ACCOUNTS)
    return rows.semi_join(some, account)


def latest_versions(
    table: ir.Table, account: str, key: str, order: list[str], compute: Keep
) -> tuple[ir.Table, list[Finding]]:
    """Of rows that share an account and a key, keep the one that says most and latest."""
    keyed = table.filter(table[key].notnull() & (table[key].cast("string").strip() != ""))
    _, repeats = copies_in(keyed.select(account, key))
    if not repeats:
        return table, []
    newest = [ibis.desc(table[name], nulls_first=False) for name in order]
    place = ibis.row_number().over(group_by=[table[account], table[key]], order_by=newest)
    ranked = table.mutate(__place=place)
    has_key = ranked[key].notnull() & (ranked[key].cast("string").strip() != "")
    rows = ranked.filter((ranked["__place"] == 0) | ~has_key).drop("__place")
    text = f"{repeats:,} rows repeat the {key} of another row, and of each the latest counts"
    return compute("latest_versions", rows), [Finding("ticket-versions", text)]
