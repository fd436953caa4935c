"""The currencies in which tables hold amounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from features.packs.verbs import plain

if TYPE_CHECKING:
    from features.sources.source import Source

CURRENCY_NAMES = ("currency", "currencycode")


def currencies_in(source: Source, tables: Iterable[str]) -> list[str]:
    """List the currencies of amounts, the most frequent first."""
    counts: dict[str, int] = {}
    for table in tables:
        rows = source.tables[table]
        column = next((c for c in rows.columns if plain(c) in CURRENCY_NAMES), None)
        if column is None:
            continue
        codes = rows[column].cast("string").lower()
        listed = rows.select(code=codes).group_by("code").aggregate(n=lambda t: t.count())
        for code, n in listed.filter(listed.code.notnull()).execute().values.tolist():
            if len(str(code)) == 3:
                counts[str(code)] = counts.get(str(code), 0) + int(n)
    return sorted(counts, key=lambda code: (-counts[code], code))
