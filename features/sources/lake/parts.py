"""A table in parts, each a Parquet file that is told from what may once lie in its place."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DataError, first_line
from features.sources.files.plain_forms import MANY_COLUMNS

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_EDGE_BYTES = 1 << 16
_KEY_VALUE = re.compile(r"([A-Za-z_][^=/]*)=([^/]*)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Part:
    """Some rows of a table.

    Parameters
    ----------
    identity : str
        Differs once other rows lie in its place.
    fetch : callable
        Returns a Parquet file of this machine that holds them.
    """

    identity: str
    fetch: Callable[[], Path]


class PartedTable:
    """A table whose rows lie in several Parquet files.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads them.
    name : str
        The table's name, for messages.
    parts : sequence of Part
        At least one.
    keys : mapping of str to str
        Columns that folders named ``key=value`` hold, and their types.
    schema : ibis Schema, optional
        Columns and types where a log of the table says them; else what the files have together.
    """

    def __init__(
        self,
        connection: Backend,
        name: str,
        parts: Sequence[Part],
        keys: Mapping[str, str] | None = None,
        schema: ibis.Schema | None = None,
    ) -> None:
        self.name = name
        self.parts = tuple(parts)
        self._connection = connection
        self.view = ""
        self._keys = dict(keys or {})
        self._schema = schema
        self._whole: ir.Table | None = None

    def whole(self) -> ir.Table:
        """Return all rows, with every column that any file has, as one view.

        Raises
        ------
        DataError
            When a file is gone or cannot be read.
        """
        if self._whole is not None:
            return self._whole
        table = self._read([part.fetch() for part in self.parts])
        if self._schema is None:
            self._schema = table.schema()
        if self._is_wide_and_small(table):
            from features.sources.files.wide_text import held

            rows = self._connection.con.sql(f'FROM "{table.op().name}"').to_arrow_table()
            self._whole = held(self._connection, rows)
            return self._whole
        self.view = ibis.util.gen_name("source")
        like = ibis.to_sql(_like(table, self._schema), dialect="duckdb")
        self._connection.con.execute(f'CREATE TEMP VIEW "{self.view}" AS {like}')
        self._whole = self._connection.table(self.view)
        return self._whole

    def unchanged(self) -> None:
        """Refuse what was read of a file that is another one by now, or gone.

        Raises
        ------
        DataError
            When one is.
        """
        if self._whole is not None:
            for part in self.parts:
                part.fetch()

    def _is_wide_and_small(self, table: ir.Table) -> bool:
        """Whether the engine would plan every query of a few columns for longer than it reads."""
        if len(self.parts) > 1 or len(table.columns) <= MANY_COLUMNS:
            return False
        from features.sources.files.wide_text import MOST_VALUES

        return int(table.count().execute()) * len(table.columns) <= MOST_VALUES

    def part(self, part: Part) -> ir.Table:
        """Return the rows of one part, with the columns and types of the whole."""
        if self._schema is None:
            self.whole()
        assert self._schema is not None
        return _like(self._read([part.fetch()]), self._schema)

    def _read(self, files: Sequence[Path]) -> ir.Table:
        view = ibis.util.gen_name("source")
        # The engine expands wildcards: a folder named "data[1]" must not open "data1".
        listed = ", ".join(_quoted(glob.escape(str(file))) for file in files)
        types = ", ".join(f"{_quoted(name)}: {kind}" for name, kind in self._keys.items())
        hive = "hive_partitioning = false"
        if types:
            hive = f"hive_partitioning = true, hive_types = {{{types}}}"
        try:
            self._connection.con.execute(
                f'CREATE TEMP VIEW "{view}" AS SELECT * FROM'
                f" read_parquet([{listed}], union_by_name = true, {hive})"
            )
        except duckdb.Error as error:
            several = len(files) > 1
            named = f"files of table '{self.name}'" if several else f"file '{files[0]}'"
            raise DataError(
                f"The {named} cannot be read as PARQUET: {first_line(error)};"
                f" {'mend what it names' if several else 'repair it'} or take it out of the folder"
            ) from error
        table = self._connection.table(view)
        # Folders above the table may be named like keys too.
        above = partition_types(files).keys() - self._keys.keys() if types else set()
        return table.drop(*above) if above else table


def _like(table: ir.Table, schema: ibis.Schema) -> ir.Table:
    """Give a table these columns and types; what it lacks is missing."""
    if table.schema() == schema:
        return table
    return table.select(
        **{
            name: table[name].cast(kind) if name in table.columns else ibis.null(kind)
            for name, kind in schema.items()
        }
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def partition_types(files: Sequence[Path]) -> dict[str, str]:
    """Return the columns that folders named ``key=value`` hold, with types all values have.

    Examples
    --------
    >>> partition_types([Path("day=2024-01-01/shard=1/a.parquet")])
    {'day': 'DATE', 'shard': 'BIGINT'}
    """
    values: dict[str, set[str]] = {}
    for file in files:
        for folder in file.parts[:-1]:
            if match := _KEY_VALUE.fullmatch(folder):
                values.setdefault(match[1], set()).add(match[2])
    return {name: _type(held - {NO_VALUE}) for name, held in values.items()}


def _type(values: set[str]) -> str:
    if values and all(_DATE.fullmatch(value) for value in values):
        return "DATE"
    if values and all(_WHOLE.fullmatch(value) for value in values):
        return "BIGINT"
    return "VARCHAR"


def file_part(file: Path) -> Part:
    """Return a file of this machine as a part.

    It is told from another in its place by size, stamps and a digest of both ends: the footer of
    a Parquet file holds counts and bounds of every column.
    """
    state = _state(file)

    def fetch() -> Path:
        if _state(file) != state:
            raise DataError(
                f"The file '{file}' was changed or taken away while its table was read; let what"
                " writes it finish and run again"
            )
        return file

    return Part(f"{file}|{state}", fetch)


def _state(file: Path) -> str:
    try:
        about = file.stat()
        # The time of the last change of the entry cannot be set back, as that of the contents can.
        return f"{about.st_mtime_ns}|{about.st_ctime_ns}|{ends_of(file)}"
    except OSError:
        return "gone"


def ends_of(file: Path) -> str:
    """Return a file's size and a digest of both its ends.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    with file.open("rb") as stream:
        ends = hashlib.sha256(stream.read(_EDGE_BYTES))
        size = stream.seek(0, 2)
        stream.seek(max(size - _EDGE_BYTES, 0))
        ends.update(stream.read(_EDGE_BYTES))
    return f"{size}|{ends.hexdigest()}"


def versions_in(query: Mapping[str, str]) -> dict[str, int]:
    """Read which version of which table is asked for: ``version.TABLE=NUMBER``.

    Raises
    ------
    DataError
        When one is no number.
    """
    versions = {}
    for key, value in query.items():
        if key.startswith("version."):
            if not value.isdigit():
                raise DataError(
                    f"The source asks for {key}='{value[:40]}', and a version is a whole number;"
                    " correct source.url"
                )
            versions[key.removeprefix("version.")] = int(value)
    return versions
