"""Which of a source's tables are a vendor's: by name and columns, whatever stands before a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from features.errors import DataError, SettingsError, sample
from features.packs.pack import Input, Pack
from features.packs.verbs import plain

Columns = Callable[[str], tuple[str, ...]]
"""Returns the columns of a table."""


@dataclass(frozen=True)
class Recognised:
    """The tables that a pack reads.

    Parameters
    ----------
    pack : Pack
        The layout.
    tables : dict of str to str
        Input to the source's own name.
    """

    pack: Pack
    tables: dict[str, str]


def recognise(
    pack: Pack, names: Sequence[str], columns: Columns, chosen: Mapping[str, str] | None = None
) -> Recognised | None:
    """Find a pack's tables among a source's.

    All share what stands before their names, such as ``stripe_``: so plain names like ``users`` are
    not taken from another vendor.

    Parameters
    ----------
    pack : Pack
        The layout.
    names : sequence of str
        The source's tables.
    columns : callable
        Of a table.
    chosen : mapping of str to str, optional
        Input to table, where a person says so.

    Returns
    -------
    Recognised or None
        None where a table that the pack needs is not there.
    """
    picked = dict(chosen or {})
    best: dict[str, str] = {}
    for prefix in _prefixes(pack, names):
        tables = dict(picked)
        for key, wanted in pack.inputs.items():
            if key in tables:
                continue
            table = _named(wanted, prefix, names)
            if table is not None and not wanted.lacks(columns(table)):
                tables[key] = table
        if len(tables) > len(best):
            best = tables
    needed = [key for key, wanted in pack.inputs.items() if not wanted.optional]
    return Recognised(pack, best) if all(key in best for key in needed) else None


def required_tables(
    pack: Pack, names: Sequence[str], columns: Columns, chosen: Mapping[str, str], section: str
) -> Recognised:
    """Find a pack's tables, which must be there.

    Raises
    ------
    SettingsError
        When the configuration names an input or table that is not there.
    DataError
        When one is missing, or its columns are others than the pack knows.
    """
    for key, table in chosen.items():
        if key not in pack.inputs or table not in names:
            known = list(pack.inputs) if key not in pack.inputs else list(names)
            wrong = key if key not in pack.inputs else table
            raise SettingsError(
                f"[{section}] tables names {sample([wrong])}, which is not there; known are"
                f" {sample(known, 12)}"
            )
    found = recognise(pack, names, columns, chosen)
    if found is not None:
        return found
    lines = []
    for key, wanted in pack.inputs.items():
        if wanted.optional or key in chosen:
            continue
        alike = [name for name in names if _ends_with(name, wanted)]
        if any(not wanted.lacks(columns(name)) for name in alike):
            continue
        if not alike:
            lines.append(f"no table is called {' or '.join(wanted.names)}")
        else:
            gone = wanted.lacks(columns(alike[0]))
            lines.append(f"table '{alike[0]}' lacks {sample(gone, 4)}")
    raise DataError(
        f"The tables of [{section}] are not laid out as pack '{pack.name}' knows them:"
        f" {'; '.join(lines[:4]) or 'their names begin in different ways'}; name the tables under"
        f" [{section}.tables], or another pack"
    )


def recognise_all(
    packs: Iterable[Pack], names: Sequence[str], columns: Columns
) -> list[Recognised]:
    """Find every vendor's tables; of a vendor's layouts the one that knows most of them.

    Raises
    ------
    SettingsError
        When two vendors claim one table.
    """
    best: dict[str, Recognised] = {}
    for pack in packs:
        found = recognise(pack, names, columns)
        if found is None:
            continue
        rival = best.get(pack.vendor)
        if rival is None or len(found.tables) > len(rival.tables):
            best[pack.vendor] = found
    refuse_shared(list(best.values()))
    return list(best.values())


def changed_layouts(packs: Iterable[Pack], names: Sequence[str], columns: Columns) -> list[str]:
    """Name the vendors whose required tables are all there and lack few of their columns."""
    told: dict[str, str] = {}
    for pack in packs:
        lacking, complete = [], 0
        for wanted in (each for each in pack.inputs.values() if not each.optional):
            alike = [name for name in names if _ends_with(name, wanted)]
            gone = min((wanted.lacks(columns(name)) for name in alike), key=len, default=None)
            if gone is None or len(gone) > min(MOST_GONE, len(wanted.has) // 3):
                break
            complete += not gone
            lacking += [f"'{alike[0]}' lacks {sample(gone, 4)}"] if gone else []
        else:
            if lacking and complete:
                told.setdefault(
                    pack.vendor,
                    f"The tables look like {pack.title}, whose layout has changed:"
                    f" {'; '.join(lacking[:4])}. They are read as one's own",
                )
    return list(told.values())


MOST_GONE = 2


def refuse_shared(recognised: Sequence[Recognised]) -> None:
    """Refuse that two packs read one table.

    Raises
    ------
    SettingsError
        When two do.
    """
    owners: dict[str, str] = {}
    for each in recognised:
        for table in each.tables.values():
            other = owners.setdefault(table, each.pack.name)
            if other != each.pack.name:
                raise SettingsError(
                    f"Table '{table}' is claimed by the packs '{other}' and '{each.pack.name}', and"
                    " a table belongs to one vendor; name one of them with --from, or part the"
                    " tables by url under [source.NAME]"
                )


def _prefixes(pack: Pack, names: Sequence[str]) -> list[str]:
    """List what stands before the names of candidates; nothing first."""
    prefixes = {""}
    for wanted in pack.inputs.values():
        for name in names:
            for known in wanted.names:
                if _bare(name).endswith(plain(known)):
                    prefixes.add(_bare(name)[: -len(plain(known))])
    return sorted(prefixes, key=lambda prefix: (len(prefix), prefix))


def _named(wanted: Input, prefix: str, names: Sequence[str]) -> str | None:
    by_plain = {_bare(name): name for name in reversed(names)}
    for known in wanted.names:
        table = by_plain.get(prefix + plain(known))
        if table is not None:
            return table
    return None


def _ends_with(name: str, wanted: Input) -> bool:
    return any(_bare(name).endswith(plain(known)) for known in wanted.names)


def _bare(name: str) -> str:
    """Return a name in plain letters, without the day or the number that a browser puts behind."""
    return plain(re.sub(r"[\s_-]*([(]\d+[)]|\d{4}[\d_-]*)$", "", name))
