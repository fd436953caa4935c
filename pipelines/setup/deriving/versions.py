"""Tables that keep a row for each version of a thing, as the dimensions of a warehouse do.

Facts point at the version that was valid then, by a key of the version alone. What is meant is the
thing: it is described as it was first told, as its later versions say what nobody knew before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from features.packs.views import View, with_views
from pipelines.setup.guessing.contracts import CURRENT_VERSIONS
from pipelines.setup.guessing.evidence import FEWEST_ROWS, MOST_COLUMNS, time_columns
from pipelines.setup.guessing.keys import Keys
from pipelines.setup.guessing.sql import in_language_of, named, same_text, table_named, view_named
from pipelines.setup.guessing.words import NUMBERS, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

_FROM = re.compile("(^|_)(valid|effective|eff|row|version|record)_.*(from|start|begin)|^valid_from")
_TO = re.compile(
    "(^|_)(valid|effective|eff|row|version|record)_.*(to|end|until|thru|through)(_|$)|^valid_to"
)
FIRST = "first_version_from"
_DAY, _PLACE = 10, "place_of_version"
_OF_KEYS = {"nk", "sk", "bk", "natural", "durable", "surrogate"}
ONE_BY_ONE = 0.95
"""Of the versions that have a next one, how many end where it begins."""


class Versions(NamedTuple):
    """A source in which each thing stands once, with the views and notes of how.

    Parameters
    ----------
    source : Source
        The tables and views.
    views : dict of str to View
        Of things, and of what points at their versions.
    replaced : tuple of str
        Tables that the views stand for.
    notes : list of str
        What a person should check.
    """

    source: Source
    views: dict[str, View]
    replaced: tuple[str, ...]
    notes: list[str]


class _Kept(NamedTuple):
    version: str
    thing: str
    begins: str
    ends: str


def versions(source: Source) -> Versions:
    """Find the table of versions that most others point at, and read the things instead."""
    dated = {name: span for name, table in source.tables.items() if (span := _span(table))}
    keys = Keys(source.tables) if dated else None
    pointing: dict[str, dict[str, str]] = {}
    found: dict[str, _Kept] = {}
    for name, (begins, ends) in dated.items():
        kept = None if keys is None else _kept(name, begins, ends, source, keys)
        if kept is not None and keys is not None:
            found[name] = kept
            pointing[name] = {
                each.table: each.column
                for each in keys.references
                if (each.owner, each.key) == (name, kept.version) and each.table not in dated
            }
    if not any(pointing.values()):
        return Versions(source, {}, (), [])
    name = max(found, key=lambda each: len(pointing[each]))
    kept = found[name]
    queries = {f"first_{name}": _first(name, kept, source.tables[name])} | {
        f"by_{kept.thing}_{table}": _pointing_at_thing(table, column, name, kept, source)
        for table, column in pointing[name].items()
    }
    views = {
        view_named(view, source.tables): View(sql=in_language_of(source, sql))
        for view, sql in queries.items()
    }
    note = (
        f"{name} has a row for each version of {kept.thing}, and other tables point at the"
        f" version by {kept.version}: they are read by {kept.thing}, which is described as it"
        " was first told"
    )
    return Versions(with_views(source, views), views, (name, *pointing[name]), [note])


def _span(table: ir.Table) -> tuple[str, str] | None:
    """Return the columns that say from when until when a version is valid."""
    called = {name: "_".join(words_of(name)) for name in table.columns}
    begins = [name for name, words in called.items() if _FROM.search(words)]
    ends = [name for name, words in called.items() if _TO.search(words)]
    if len(begins) != 1 or len(ends) != 1 or begins == ends:
        return None
    return (begins[0], ends[0]) if begins[0] in time_columns(table, begins) else None


def _kept(name: str, begins: str, ends: str, source: Source, keys: Keys) -> _Kept | None:
    """Return the key of the versions and that of the things, where the one follows the other."""
    table = source.tables[name]
    unique = [each for each in keys.keys[name] if NUMBERS & {*words_of(each)} or "sk" in each]
    things = [each for each in table.columns if each not in keys.keys[name]
              and _names_thing(each) and (table[each].type().is_string()
              or table[each].type().is_integer())]  # fmt: skip
    pointed = {each.key for each in keys.references if each.owner == name}
    version = next((each for each in unique if each in pointed), None)
    if version is None:
        return None
    # What has an account of another table is its contract, and each of them counts.
    others = {each.column for each in keys.references if each.table == name}
    things = [each for each in things if each not in others or _of_one(each, version)]
    for thing in things:
        if _follow_one_another(table, thing, begins, ends):
            return _Kept(version, thing, begins, ends)
    return None


def _follow_one_another(table: ir.Table, thing: str, begins: str, ends: str) -> bool:
    """Whether nearly each version that has a next one ends where that begins, or before."""
    rows = table.select(
        who=table[thing].cast("string"),
        begins=table[begins].cast("string").left(_DAY),
        ends=table[ends].cast("string").left(_DAY),
    ).filter(lambda t: t.who.notnull() & t.begins.notnull())
    rows = rows.mutate(following=rows.begins.lead().over(group_by=rows.who, order_by=rows.begins))
    in_order = (rows.ends >= rows.begins) & (rows.ends <= rows.following)
    facts = rows.aggregate(
        rows=rows.count(),
        nexts=rows.following.notnull().sum(),
        ordered=in_order.fill_null(False).sum(),
    ).execute().iloc[0].fillna(0)  # fmt: skip
    enough = facts["rows"] >= FEWEST_ROWS and facts["nexts"] > 0
    return bool(enough and facts["ordered"] >= ONE_BY_ONE * facts["nexts"])


def _of_one(thing: str, version: str) -> bool:
    """Whether two keys are called as keys of one thing, as ``account_nk`` and ``account_sk``."""
    one, other = ({*words_of(name)} - NUMBERS - _OF_KEYS for name in (thing, version))
    return bool(one & other)


def _names_thing(name: str) -> bool:
    words = {*words_of(name)}
    return bool(words & (NUMBERS | {"nk", "bk", "natural", "durable"})) and not words & {"sk"}


def _telling_of_next(table: ir.Table, kept: _Kept) -> list[str]:
    """List the columns that say whether another version follows: nobody knew that when it began.

    Either all newest versions or all others have one value in them, or none, which only they have.
    """
    able = [name for name, kind in table.schema().items() if not kind.is_nested()][:MOST_COLUMNS]
    begins, who = table[kept.begins].cast("string"), table[kept.thing].cast("string")
    values = {f"c{n}": table[name].cast("string").fill_null("") for n, name in enumerate(able)}
    rows = table.select(who=who, begins=begins, **values)
    rows = rows.filter(rows.who.notnull() & rows.begins.notnull())
    next_one = rows.begins.lead().over(group_by=rows.who, order_by=rows.begins)
    rows = rows.mutate(is_newest=next_one.isnull())
    facts = rows.aggregate(
        **{f"{each}_all": rows[each].nunique() for each in values},
        **{f"{each}_new": rows[each].nunique(where=rows.is_newest) for each in values},
        **{f"{each}_old": rows[each].nunique(where=~rows.is_newest) for each in values},
    ).execute().iloc[0]  # fmt: skip
    counts = [[int(facts[f"{each}_{of}"]) for of in ("all", "new", "old")] for each in values]
    return [
        name for name, (every, new, old) in zip(able, counts, strict=True)
        if every == new + old and min(new, old) == 1
    ]  # fmt: skip


def _first(name: str, kept: _Kept, table: ir.Table) -> str:
    """Select the first version of each thing, without what is of a version alone, SQL."""
    left_out = {kept.version, kept.begins, kept.ends, *_telling_of_next(table, kept)}
    columns = [f"s.{named(each)}" for each in table.columns
               if each not in left_out and each.lower() not in CURRENT_VERSIONS]  # fmt: skip
    thing, begins = named(kept.thing), named(kept.begins)
    # Two versions may begin on one day.
    return (
        f"SELECT {', '.join(columns)}, s.{begins} AS {FIRST} FROM (SELECT *, ROW_NUMBER() OVER"
        f" (PARTITION BY {thing} ORDER BY {begins}, {named(kept.version)}) AS {_PLACE} FROM"
        f" {table_named(name)} WHERE NOT {thing} IS NULL AND NOT {begins} IS NULL) AS s"
        f" WHERE s.{_PLACE} = 1"
    )


def _pointing_at_thing(table: str, column: str, owner: str, kept: _Kept, source: Source) -> str:
    """Select the rows of a table with the thing in the place of its version, SQL."""
    columns = [f"s.{named(each)}" for each in source.tables[table].columns
               if each not in (column, kept.thing)]  # fmt: skip
    is_same = same_text(source, ("s", table, column), ("v", owner, kept.version))
    return (
        f"SELECT {', '.join([f'v.{named(kept.thing)}', *columns])} FROM {table_named(table)} AS s"
        f" JOIN {table_named(owner)} AS v ON {is_same}"
    )
