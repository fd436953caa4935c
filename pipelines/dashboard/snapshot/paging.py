"""Pages of the list of accounts, as quick deep down as at the top.

Every order was numbered once, when the snapshot was made. Where nothing is picked, a page is a
range of those numbers; else one scan counts what matches, finds where the page begins, and keeps
where its rows lie. Neither sorts anything, and a page begins after an account, not after so
many rows: it is right whatever came or went above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelines.dashboard.snapshot.query import AccountPage, AccountQuery
from pipelines.dashboard.snapshot.schema import place_in

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot


def page_of(snapshot: Snapshot, visitor: Visitor, query: AccountQuery) -> AccountPage:
    """Find the accounts of a page.

    Parameters
    ----------
    snapshot : Snapshot
        Where they are.
    visitor : Visitor
        Who asks.
    query : AccountQuery
        What for.
    """
    where, values = snapshot.predicate(visitor, query)
    order = snapshot.order_of(query)
    start = _place_of(snapshot, visitor, query, order)
    backwards = query.at_end or (query.before is not None and start is not None)
    if where == "true":
        total = snapshot.run.rows
        arr, stake = snapshot.contents.sums
        first = _first_of_all(query, start, total, backwards)
        rows = _rows_at(snapshot, query, range(first, min(first + query.size, total + 1)))
    else:
        total, first, held, arr, stake = _scanned(
            snapshot, query, order, where, values, start, backwards
        )
        rows = _rows(snapshot, order, "select unnest(?::bigint[])", [held]) if held else []
    if backwards and first == 1 and len(rows) < min(query.size, total):
        # A whole first page, rather than the few rows before the account.
        return page_of(snapshot, visitor, replace(query, before=None, at_end=False))
    return AccountPage(rows, total, first if rows else 0, arr, stake)


def _place_of(snapshot: Snapshot, visitor: Visitor, query: AccountQuery, order: str) -> int | None:
    """Find the place of the account that a page begins after or ends before.

    One that the visitor may not see has none: its place would tell of its score.
    """
    account = query.after if query.after is not None else query.before
    if account is None:
        return None
    allowed, values = snapshot.allowed(visitor)
    rows = snapshot.ask(
        f"select {order} as place from accounts"
        f" where account_hash = hash(?) and account_id = ? and {allowed}",
        [account, account, *values],
    )
    return int(rows[0]["place"]) if rows else None


def _first_of_all(query: AccountQuery, start: int | None, total: int, backwards: bool) -> int:
    if query.at_end:
        return max(1, total - query.size + 1)
    if start is None:
        return 1
    return max(1, start - query.size) if backwards else start + 1


def _scanned(
    snapshot: Snapshot,
    query: AccountQuery,
    order: str,
    where: str,
    values: list[object],
    start: int | None,
    backwards: bool,
) -> tuple[int, int, list[int], float | None, float | None]:
    """Count and add up what matches, and find where the page's rows lie in one scan."""
    size = query.size
    if backwards:
        bound = snapshot.run.rows + 1 if start is None else start
        chosen = f"arg_max(rowid, place, {size}) filter (where place < {bound})"
        before = f"count(*) filter (where place < {bound})"
    else:
        bound = start or 0
        chosen = f"arg_min(rowid, place, {size}) filter (where place > {bound})"
        before = f"count(*) filter (where place <= {bound})"
    (row,) = snapshot.ask(
        f"select count(*) as total, {before} as earlier, {chosen} as held, sum(arr) as arr,"
        f" sum(stake) as stake from (select rowid, {order} as place, arr, stake from accounts"
        f" where {where})",
        values,
    )
    held = row["held"] or []
    first = row["earlier"] - len(held) + 1 if backwards else row["earlier"] + 1
    return row["total"], first, held, row["arr"], row["stake"]


def _rows_at(snapshot: Snapshot, query: AccountQuery, places: range) -> list[dict[str, Any]]:
    """Read the accounts at some places of an order, of all accounts."""
    column = snapshot.sorts[query.sort]
    known = snapshot.contents.known[column]
    held = [known + 1 - place if query.descending and place <= known else place for place in places]
    if not held:
        return []
    listed = ", ".join(str(place) for place in held)
    where = f"select rowid from accounts where {place_in(column)} in ({listed})"
    return _rows(snapshot, snapshot.order_of(query), where)


def _rows(
    snapshot: Snapshot, order: str, held: str, values: Sequence[object] = ()
) -> list[dict[str, Any]]:
    # Without the inner query the engine would read every column of every row.
    rows = snapshot.ask(
        f"select {', '.join(snapshot.listed)}, {order} as place_here from accounts"
        f" where rowid in ({held})",
        values,
    )
    rows.sort(key=lambda row: row["place_here"])
    return [snapshot.told(row) for row in rows]
