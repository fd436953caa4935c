"""Which columns name the rows of a table, and which columns of others point at them.

Values decide; a name counts where values say little, as small whole numbers are found in every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from features.tables.mapping.mapped import TOTAL_ROW
from pipelines.setup.guessing.evidence import INCLUDED, is_key
from pipelines.setup.guessing.words import NUMBERS, plain, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

MOST_ROWS = 20_000
MOST_COLUMNS = 60
MOST_VALUES = 500
FEWEST_VALUES = 5
LONGEST = 80
SURELY_INCLUDED = 0.9
SHORTEST_TELLING = 5
MOSTLY_SINGLE = 0.95
OFTEN_FILLED = 0.1


@dataclass(frozen=True)
class Reference:
    """A column whose values are keys of another table.

    Parameters
    ----------
    table, column : str
        Which points.
    owner, key : str
        At what.
    share : float
        Of its different values, those that are there.
    is_told_by_values : bool
        Whether its values are hardly there by chance, whatever it is called.
    """

    table: str
    column: str
    owner: str
    key: str
    share: float
    is_told_by_values: bool = False


class Keys:
    """The keys of some tables, and what points at them.

    Parameters
    ----------
    tables : mapping of str to ibis table
        By name.
    """

    def __init__(self, tables: Mapping[str, ir.Table]) -> None:
        self._tables = tables
        self._values = {name: _texts(table) for name, table in tables.items()}

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """Columns that are never missing and never twice, by table."""
        return {
            name: [column for column in texts.columns if self._is_key(name, column)]
            for name, texts in self._values.items()
        }

    @cached_property
    def others(self) -> dict[str, list[str]]:
        """Columns that are never twice and missing in some rows, by table.

        What another system calls an account stands beside it once there is something to call.
        """
        return {
            name: [column for column in texts.columns if _is_partly_key(texts[column])]
            for name, texts in self._values.items()
        }

    @cached_property
    def references(self) -> list[Reference]:
        """Every column that points at a key of another table."""
        listed = []
        for owner, keys in self.keys.items():
            for key in (*keys, *self.others[owner]):
                known = set(self._values[owner][key].dropna())
                for table in self._values:
                    if table != owner:
                        found = self._pointing(table, owner, key, known)
                        listed += [one for one in found if key in keys or one.is_told_by_values]
        return listed

    def between(self, table: str, owner: str) -> list[Reference]:
        """List how one table points at another, the surest first."""
        found = [each for each in self.references if (each.table, each.owner) == (table, owner)]
        return sorted(found, key=lambda each: (
            -each.share, plain(each.column) != plain(each.key), not _is_named(each)))  # fmt: skip

    def reach(self, owner: str) -> int:
        """Count the tables that point at one, directly or through others."""
        reached = {owner}
        while True:
            more = {each.table for each in self.references if each.owner in reached} - reached
            if not more:
                return len(reached) - 1
            reached |= more

    def main_key(self, owner: str) -> str | None:
        """Return the key of a table that most others point at; of several one that is called so."""
        counts = {
            key: len(
                {each.table for each in self.references if (each.owner, each.key) == (owner, key)}
            )
            for key in self.keys.get(owner, [])
        }
        best = sorted(counts, key=lambda key: (-counts[key], not _is_called_key(key)))
        return best[0] if best and counts[best[0]] else None

    def _is_key(self, table: str, column: str) -> bool:
        texts = self._values[table]
        if not len(texts) or texts[column].isna().any() or texts[column].duplicated().any():
            return False
        return len(texts) < MOST_ROWS or is_key(self._tables[table], column)

    def _pointing(self, table: str, owner: str, key: str, known: set[str]) -> list[Reference]:
        listed = []
        for column in self._values[table].columns:
            values = self._values[table][column].dropna().unique()[:MOST_VALUES]
            if not len(values) or (column in self.keys[table] and plain(column) == "id"):
                continue
            share = sum(value in known for value in values) / len(values)
            if share < SURELY_INCLUDED and len(known) >= MOST_ROWS:
                share = self._share_in_whole(owner, key, list(values))
            telling = len(values) >= FEWEST_VALUES and all(map(_is_telling, values))
            is_told = share >= SURELY_INCLUDED and telling
            found = Reference(table, column, owner, key, share, is_told)
            if is_told or (share >= INCLUDED and _is_named(found)):
                listed.append(found)
        return listed

    def _share_in_whole(self, owner: str, key: str, values: list[str]) -> float:
        rows = self._tables[owner]
        found = rows.filter(rows[key].cast("string").isin(values))[key].nunique().execute()
        return int(found) / len(values)


def _texts(table: ir.Table) -> pd.DataFrame:
    """Return the first rows of the columns that may be keys, as texts; few copies count once."""
    kinds = dict(table.schema().items())
    able = [name for name, kind in kinds.items() if kind.is_string() or kind.is_integer()]
    if len(able) > MOST_COLUMNS:
        able = [name for name in able if _is_called_key(name)][:MOST_COLUMNS]
    if not able:
        return rows_of_none()
    # A column of a stranger's may be called anything, as what the engine makes itself is.
    others = [name for name in table.columns if name not in able and not kinds[name].is_nested()]
    kept = [*able, *others[:MOST_COLUMNS]]
    rows = table.select([table[name].cast("string").name(f"c{n}") for n, name in enumerate(kept)])
    whole: pd.DataFrame = rows.limit(MOST_ROWS).execute()
    # A list that somebody summed up names one row more than it holds.
    if len(whole.columns) and able[:1] == [*table.columns][:1]:
        whole = whole[~whole["c0"].str.strip().str.lower().str.fullmatch(TOTAL_ROW, na=False)]
    single = whole.drop_duplicates()
    texts = (single if len(single) >= MOSTLY_SINGLE * len(whole) else whole).iloc[:, : len(able)]
    texts.columns = able
    return texts[[name for name in able if not (texts[name].str.len() > LONGEST).any()]]


def _is_partly_key(values: pd.Series) -> bool:
    """Whether a column names some of the rows, each once."""
    filled = values.dropna()
    enough = max(FEWEST_VALUES, OFTEN_FILLED * len(values))
    return enough <= len(filled) < len(values) and not filled.duplicated().any()


def rows_of_none() -> pd.DataFrame:
    """Return no rows of no columns."""
    import pandas as pd

    return pd.DataFrame()


def _is_telling(value: str) -> bool:
    """Whether a value is hardly another table's by chance: a short number is found in every key."""
    return not value.isdigit() or len(value) >= SHORTEST_TELLING


def _is_called_key(name: str) -> bool:
    return bool(NUMBERS & set(words_of(name)))


def _is_named(found: Reference) -> bool:
    """Whether a column is called as what it points at."""
    if plain(found.column) == plain(found.key) != "id":
        return True
    words = {word.removesuffix("s") for word in words_of(found.column)} - NUMBERS
    owner = {word.removesuffix("s") for word in words_of(found.owner)}
    key = {word.removesuffix("s") for word in words_of(found.key)} - NUMBERS
    return bool(words & (owner | key))
