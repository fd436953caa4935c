"""Files that are called alike but for a month, day, quarter or year hold the parts of one table.

Exports that are saved again and again lie side by side, as ``accounts_2025-03.csv``. Together they
are a table of what their names have in common, in which each row says when its file's time was
over: nothing of it was known before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from features.sources.files.plain_forms import TextTable, text_table

KNOWN_FROM = "file_known_from"
"""The column that says from which day on a row of such a file is known."""
FEWEST = 2
_MOVING = re.compile(r"last|latest|recent|snapshot|extract|export|as_?of|updated|modified", re.I)
"""Times that are never older than the file they are in, of most accounts that are alive."""
_YEAR = r"(?P<y>(?:19|20)\d\d)"
_PERIOD = (
    rf"{_YEAR}(?:(?P<s>[-_.]?)(?P<m>0[1-9]|1[0-2])(?:(?P=s)(?P<d>0[1-9]|[12]\d|3[01]))?"
    r"|[-_.]?[Qq](?P<q>[1-4]))?"
)
_BEHIND = re.compile(rf"(?P<stem>.*[^\W\d_])[-_. ]+{_PERIOD}", re.S)
_BEFORE = re.compile(rf"{_PERIOD}[-_. ]+(?P<stem>[^\W\d_].*)", re.S)


def parts_by_table(names: Iterable[str], *, beside: bool = False) -> dict[str, dict[str, date]]:
    """List the tables that some others are the parts of, and when the time of each is over.

    Parameters
    ----------
    names : iterable of str
        Of tables.
    beside : bool
        Whether what they are parts of may itself be among them.

    Examples
    --------
    >>> found = parts_by_table(["logins", "plans_2024-01", "plans_2024-02"])
    >>> {table: [(part, str(day)) for part, day in parts.items()] for table, parts in found.items()}
    {'plans': [('plans_2024-01', '2024-02-01'), ('plans_2024-02', '2024-03-01')]}
    >>> parts_by_table(["bills_2024", "bills_2024-01", "used 2024Q4", "2024Q3_used"])
    {}
    """
    listed = list(names)
    found: dict[tuple[str, str, str], dict[str, date]] = {}
    for name in listed:
        for pattern in (_BEHIND, _BEFORE):
            match = pattern.fullmatch(name)
            over = None if match is None else _over(match)
            if match is not None and over is not None:
                length = "".join(key for key in "ymdq" if match[key])
                key = (match["stem"], pattern.pattern, length)
                found.setdefault(key, {})[name] = over
                break
    several = [
        (stem, dict(sorted(parts.items(), key=lambda part: part[1])))
        for (stem, _, _), parts in found.items()
        if len(parts) >= FEWEST and len(set(parts.values())) == len(parts)
    ]
    stems = [stem for stem, _ in several]
    return {
        stem: parts
        for stem, parts in several
        if (beside or stem not in listed) and stems.count(stem) == 1
    }


def _over(match: re.Match[str]) -> date | None:
    """Return the day after a period, None where its day is none."""
    year, month, day, quarter = (int(match[key] or 0) for key in "ymdq")
    if day:
        try:
            return date(year, month, day) + timedelta(days=1)
        except ValueError:
            return None
    months = 12 * year + (month or 3 * quarter if month or quarter else 12)
    return date(months // 12, months % 12 + 1, 1)


def text_of_parts(
    connection: Backend, parts: Mapping[str, date], texts: Callable[[str], TextTable | None]
) -> TextTable | None:
    """Return the texts of a table in parts, None where one of them was not written as text."""
    found = [texts(name) for name in parts]
    written = [each for each in found if each is not None]
    if len(written) < len(found):
        return None
    days = [min(_told_until(each), day) for each, day in zip(written, parts.values(), strict=True)]
    days = [day if day > before else over for day, before, over in
            zip(days, [date.min, *parts.values()], parts.values(), strict=False)]  # fmt: skip
    queries = [connection.compile(each.texts) for each in written]
    notes = dict.fromkeys(note for each in written for note in each.notes)
    table = connection.table(_below_each_other(connection, queries, days))
    return TextTable(table, text_table(table).types, tuple(notes))


def _told_until(text: TextTable) -> date:
    """Return the day after the last time of a column that moves on until a file is written."""
    moving = [name for name, kind in text.types.items()
              if kind in ("date", "timestamp") and _MOVING.search(name)]  # fmt: skip
    if not moving:
        return date.max
    typed = text.typed()
    last = typed.aggregate([typed[name].cast("timestamp").max().name(name) for name in moving])
    known = [each for each in last.execute().iloc[0] if each == each]
    return max(known).date() + timedelta(days=1) if known else date.max


def table_of_parts(
    connection: Backend, parts: Mapping[str, date], read: Callable[[str], ir.Table]
) -> str:
    """Return the view of the rows of all parts, with every column that any of them has."""
    queries = [connection.compile(read(name)) for name in parts]
    return _below_each_other(connection, queries, list(parts.values()))


def _below_each_other(connection: Backend, queries: Sequence[str], days: Sequence[date]) -> str:
    view: str = gen_name("parts")
    rows = " UNION ALL BY NAME ".join(
        f"SELECT *, '{day.isoformat()}' AS {KNOWN_FROM} FROM ({query})"
        for query, day in zip(queries, days, strict=True)
    )
    connection.con.execute(f'CREATE TEMP VIEW "{view}" AS {rows}')
    return view
