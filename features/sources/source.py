"""The user's own tables, by name, in whatever engine holds them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import ibis.expr.types as ir

from features.errors import DataError, nearest, sample
from features.sources.engines.engine import Engine
from features.sources.files.plain_forms import TextTable
from features.sources.lake.parts import PartedTable


class Tables(Mapping[str, ir.Table]):
    """Tables by name, each looked up in the engine only when it is asked for.

    Parameters
    ----------
    names : iterable of str
        The tables there are.
    read : callable
        Returns the table of a name.
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], ir.Table]) -> None:
        self._found: dict[str, ir.Table | None] = dict.fromkeys(names)
        self._read = read

    def __getitem__(self, name: str) -> ir.Table:
        table = self._found[name]
        if table is None:
            table = self._found[name] = self._read(name)
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(frozen=True)
class About:
    """What is known of a table besides its rows.

    Parameters
    ----------
    notes : tuple of str
        What was decided of the file it was written in.
    today_only : frozenset of str
        Columns that say what is so today, and are no value of the past.
    left_out : mapping of str to ibis table
        What is said of rows that were left out before it was read, and those rows.
    may_hold_totals : bool
        Whether it is made of files of texts, which people sum up in a last line.
    """

    notes: tuple[str, ...] = ()
    today_only: frozenset[str] = frozenset()
    left_out: Mapping[str, ir.Table] = field(default_factory=dict)
    may_hold_totals: bool = False


class Source:
    """The user's own tables, opened for reading.

    Parameters
    ----------
    engine : Engine
        What computes; its temporary tables are never among the user's.
    tables : mapping of str to ibis table
        Source tables by their own names.
    url : str
        Where they came from, without a password, for messages.
    texts : callable, optional
        Returns the texts of a table that was written as text, None of another.
    parted : callable, optional
        Returns the parts of a table that lies in Parquet files, None of another.
    unread : sequence of str
        Files that lie beside the tables and hold none that can be read.
    about : callable, optional
        Returns what is known of a table that is made from others.
    """

    def __init__(
        self,
        engine: Engine,
        tables: Mapping[str, ir.Table],
        url: str,
        *,
        texts: Callable[[str], TextTable | None] = lambda name: None,
        parted: Callable[[str], PartedTable | None] = lambda name: None,
        unread: Sequence[str] = (),
        about: Callable[[str], About] | None = None,
    ) -> None:
        self.engine = engine
        self.tables = tables
        self.url = url
        self.unread = tuple(unread)
        self._texts = texts
        self._about = about
        self._parted = parted

    def with_tables(
        self, tables: Mapping[str, ir.Table], about: Callable[[str], About] | None = None
    ) -> Source:
        """Return a source with more tables, which were not written as text."""
        return Source(
            self.engine,
            tables,
            self.url,
            texts=lambda name: self._texts(name) if name in self.tables else None,
            parted=lambda name: self._parted(name) if name in self.tables else None,
            unread=self.unread,
            about=about or self._about,
        )

    def rewritten(self, read: Callable[[str], TextTable | None]) -> Source:
        """Return a source some of whose tables are read in another way, as texts."""

        def table(name: str) -> ir.Table:
            texts = read(name)
            return self.tables[name] if texts is None else texts.typed()

        return Source(
            self.engine,
            Tables(self.tables, table),
            self.url,
            texts=lambda name: read(name) or self._texts(name),
            parted=lambda name: self._parted(name) if read(name) is None else None,
            unread=self.unread,
            about=self._about,
        )

    def is_text(self, name: str) -> bool:
        """Whether a table was written as text."""
        found = same_name(name, self.tables)
        return found is not None and self._texts(found) is not None

    def about(self, name: str) -> About:
        """Return what is known of a table besides its rows."""
        found = same_name(name, self.tables)
        if found is None:
            return About()
        texts = self._texts(found)
        if texts is not None or self._about is None:
            return About(notes=texts.notes if texts is not None else ())
        return self._about(found)

    def parted(self, name: str) -> PartedTable | None:
        """Return the parts of a table that lies in Parquet files, None of another."""
        found = same_name(name, self.tables)
        return None if found is None else self._parted(found)

    def table(self, name: str, wanted_for: str, as_written: Collection[str] = ()) -> ir.Table:
        """Return a source table; where none has exactly that name, upper and lower case are one.

        Parameters
        ----------
        name : str
            The table's own name.
        wanted_for : str
            For messages: what asks for it.
        as_written : collection of str
            Columns whose values stay as a file spells them, such as ids.

        Raises
        ------
        DataError
            When the source has no table of that name.
        """
        found = same_name(name, self.tables)
        if found is None:
            hint = nearest(name, self.tables) or f"; it holds {sample(sorted(self.tables), 8)}"
            raise DataError(
                f"Table '{name}', mapped to {wanted_for}, is not in the source '{self.url}'{hint}"
            )
        texts = self._texts(found) if as_written else None
        return self.tables[found] if texts is None else texts.typed(as_written)


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is this one, else the only one that differs in case alone.

    Examples
    --------
    >>> same_name("account_id", ["ACCOUNT_ID", "CREATED_AT"])
    'ACCOUNT_ID'
    >>> same_name("plan", ["Plan", "PLAN"]) is None
    True
    """
    listed = list(known)
    if name in listed:
        return name
    alike = [candidate for candidate in listed if candidate.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None
