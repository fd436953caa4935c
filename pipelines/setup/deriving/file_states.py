"""Tables in a file for each month or day: parts of one history, or a state that is told anew.

What happened is told once, and its files are read below each other. A state repeats its rows in
each file: of it accounts are described as they were first told, contracts as they were last, and
the numbers of every file are signals over time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from features.packs.views import View, with_views
from features.sources.files.listing import parts_by_table
from features.sources.files.periods import KNOWN_FROM
from features.sources.source import Tables
from pipelines.setup.guessing.evidence import MOST_COLUMNS, earliest, first_times, time_columns
from pipelines.setup.guessing.names import TABLE_NAMES
from pipelines.setup.guessing.sql import in_language_of, named, table_named, view_named
from pipelines.setup.guessing.words import by_name, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

_LAST = {"last", "latest", "recent"}
ALIKE, REPEATED, MOSTLY = 0.5, 0.8, 0.9
"""Shares: of columns that all files have, of a key's rows that are told anew, of own times."""


class FileStates(NamedTuple):
    """What files of one kind hold.

    Parameters
    ----------
    source : Source
        The tables with each such kind once.
    views : dict of str to View
        Of states, one row of each key.
    states : tuple of str
        Tables whose files tell a state.
    notes : list of str
        What a person should check.
    """

    source: Source
    views: dict[str, View]
    states: tuple[str, ...]
    notes: list[str]


def joined_files(source: Source) -> Source:
    """Leave out the tables that are parts of one, or that one where its parts are unlike."""
    dropped: set[str] = set()
    for whole, parts in _parts(source).items():
        columns = [set(source.tables[part].columns) for part in parts]
        shared, all_of_them = set.intersection(*columns), set.union(*columns)
        is_alike = len(shared) >= ALIKE * len(all_of_them)
        dropped |= parts.keys() if is_alike else {whole}
    if not dropped:
        return source
    kept = [name for name in source.tables if name not in dropped]
    return source.with_tables(Tables(kept, lambda name: source.tables[name]))


def file_states(source: Source) -> FileStates:
    """Tell the tables whose files repeat a state, and make one row of each key of them."""
    whole = [name for name in source.tables if KNOWN_FROM in source.tables[name].columns]
    if not whole:
        return FileStates(source, {}, (), [])
    keys = {name: _key(source.tables[name]) for name in whole}
    states = {name: key for name, key in keys.items() if key is not None}
    views: dict[str, View] = {}
    notes = []
    for name, key in states.items():
        is_first = _describes_accounts(name, source.tables[name])
        which, function = ("first", "MIN") if is_first else ("newest", "MAX")
        views[view_named(f"{which}_{name}", source.tables)] = View(sql=in_language_of(source, (
            f"SELECT s.* FROM {table_named(name)} AS s JOIN (SELECT {named(key)} AS who,"
            f" {function}({KNOWN_FROM}) AS day FROM {table_named(name)} GROUP BY {named(key)}) AS f"
            f" ON s.{named(key)} = f.who AND s.{KNOWN_FROM} = f.day"
        )))  # fmt: skip
        notes.append(
            f"{name} has a file for each time, each of which tells all of {key} again: of each the"
            f" {which} row is read, and numbers of every file count from the day its time was over"
        )
    shown = with_views(source, views) if views else source

    def without_day(name: str) -> ir.Table:
        table = shown.tables[name]
        return table.drop(KNOWN_FROM) if name in {*whole, *views} - {*states} else table

    return FileStates(
        shown.with_tables(Tables([*shown.tables], without_day)), views, tuple(states), notes
    )


def guessed_without(source: Source, states: tuple[str, ...]) -> Source:
    """Return the tables among which roles are guessed: of states their one row alone."""
    if not states:
        return source
    kept = [name for name in source.tables if name not in states]
    return source.with_tables(Tables(kept, lambda name: source.tables[name]))


def _parts(source: Source) -> Mapping[str, Mapping[str, object]]:
    """List the tables in parts of a source that has them beside their parts."""
    parts = parts_by_table(source.tables, beside=True)
    return {
        whole: parts[whole]
        for whole in parts
        if whole in source.tables and KNOWN_FROM in source.tables[whole].columns
    }


def _key(table: ir.Table) -> str | None:
    """Return the key that each file has once and most files have again; None where none is so."""
    kinds = table.schema()
    able = [name for name, kind in kinds.items() if kind.is_string() or kind.is_integer()]
    if not able or len(table.columns) > MOST_COLUMNS:
        return None
    pairs = {
        name: table[name].cast("string").concat("\x1f", table[KNOWN_FROM].cast("string"))
        for name in able
    }
    facts = table.aggregate(
        rows=table.count(),
        **{f"{n}_alone": table[name].nunique() for n, name in enumerate(able)},
        **{f"{n}_in_file": pairs[name].nunique() for n, name in enumerate(able)},
    ).execute().iloc[0]  # fmt: skip
    rows = int(facts["rows"])
    alone = {name: int(facts[f"{n}_alone"]) for n, name in enumerate(able)}
    if not rows or any(each == rows for each in alone.values()) or _is_dated(table):
        return None
    keys = [name for n, name in enumerate(able) if int(facts[f"{n}_in_file"]) == rows]
    keys = [name for name in keys if alone[name] <= REPEATED * rows]
    return keys[0] if keys else None


def _is_dated(table: ir.Table) -> bool:
    """Whether rows have a time of their own within their file's: what happened is no state."""
    others = [name for name in time_columns(table) if name != KNOWN_FROM
              and not _LAST & set(words_of(name))]  # fmt: skip
    rows = first_times(table, [*others, KNOWN_FROM])
    full = [name for name in others if rows[name].notna().all()]
    if not full:
        return False
    days = pd.Series(rows[KNOWN_FROM].unique()).sort_values().diff().dt.days.max()
    before = (rows[KNOWN_FROM] - rows[earliest(rows, full)]).dt.days
    # A first file may hold what was before, as the rows of no other do.
    return bool((before.ge(0) & before.le(days)).mean() >= MOSTLY)


def _describes_accounts(name: str, table: ir.Table) -> bool:
    """Whether a state is of accounts, and none of its times is filled in by a later file."""
    if by_name([name], TABLE_NAMES["accounts"]) is None:
        return False
    rows = first_times(table, time_columns(table))
    return bool(rows.notna().all(axis=None))
