"""Delimited text of very many columns: its values are looked at below one another.

An expression for every column takes the engine longer to plan than its values to read, and longer
than in proportion. So all values become one column, are typed by the same rules, and are parted
into columns again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from features.sources.files.plain_forms import (
    TextTable,
    measures_of,
    type_of,
    without_missing_words,
)

MOST_VALUES = 5_000_000
"""So many values are looked at in one go."""


@dataclass(frozen=True)
class WideTable(TextTable):
    """A file of very many columns, read once into the engine.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What holds it.
    written : pyarrow.Table
        Every value as it is written.
    read : pyarrow.Table
        The same with the types of its columns.
    """

    connection: Backend = field(kw_only=True)
    written: pa.Table = field(kw_only=True)
    read: pa.Table = field(kw_only=True)
    _made: dict[frozenset[str], ir.Table] = field(kw_only=True, default_factory=dict)

    def typed(self, as_written: Collection[str] = ()) -> ir.Table:
        """Return the table with types; of the named columns, with none that rewrites a value."""
        kept = frozenset(name for name in as_written if self.types.get(name, "int64") != "int64")
        if kept not in self._made:
            columns = [self.written[name] if name in kept else self.read[name]
                       for name in self.read.column_names]  # fmt: skip
            table = pa.table(columns, names=self.read.column_names)
            self._made[kept] = held(self.connection, table)
        return self._made[kept]


def wide_table(connection: Backend, texts: str) -> WideTable:
    """Read a query's texts, and decide the type of each column over all of its values.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads and holds them.
    texts : str
        A query, every column of which is text.
    """
    written = _without_blanks(connection.con.sql(texts).to_arrow_table()).combine_chunks()
    types: dict[str, str] = {}
    read: dict[str, pa.ChunkedArray] = {}
    for names in _batches(written):
        below = held(connection, _below(written, names))
        counted = below.group_by("place").aggregate(**measures_of(below.value)).to_pyarrow()
        found = {names[row["place"]]: type_of(row) for row in counted.to_pylist()}
        types |= {name: kind for name, kind in found.items() if kind}
        connection.con.execute(f'DROP TABLE "{below.op().name}"')
        for kind in sorted(set(types.values())):
            alike = [name for name in names if types.get(name) == kind]
            rows = ibis.memtable(_below(written, alike)).order_by("number")
            values = rows.select(v=without_missing_words(rows.value).try_cast(kind)).to_pyarrow()
            read |= {name: values["v"].slice(place * len(written), len(written))
                     for place, name in enumerate(alike)}  # fmt: skip
    typed = pa.table({name: read.get(name, written[name]) for name in written.column_names})
    ordered = {name: types[name] for name in written.column_names if name in types}
    texts_of = ibis.memtable(written)
    return WideTable(texts_of, ordered, connection=connection, written=written, read=typed)


def _without_blanks(table: pa.Table) -> pa.Table:
    """Leave out rows that hold nothing but delimiters."""
    is_written = pa.scalar(False)
    for column in table.columns:
        filled = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(column)), 0)
        is_written = pc.or_(is_written, filled.fill_null(False))
    return table.filter(is_written)


def _batches(table: pa.Table) -> Iterator[Sequence[str]]:
    step = max(1, MOST_VALUES // max(1, len(table)))
    for start in range(0, len(table.column_names), step):
        yield table.column_names[start : start + step]


def _below(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Put the columns of some names below one another, each value with its column's place."""
    values = pa.chunked_array(
        [chunk for name in names for chunk in table[name].chunks], type=pa.string()
    )
    rows = len(table)
    numbers = pa.array(range(rows * len(names)), type=pa.int64())
    places = pa.array([place for place in range(len(names)) for _ in range(rows)], type=pa.int32())
    return pa.table({"place": places, "number": numbers, "value": values})


def held(connection: Backend, rows: pa.Table) -> ir.Table:
    """Keep rows in the engine, where a query of a few columns plans those alone."""
    name, given = gen_name("wide"), gen_name("rows")
    connection.con.register(given, rows)
    connection.con.execute(f'CREATE TEMP TABLE "{name}" AS SELECT * FROM "{given}"')
    connection.con.unregister(given)
    schema = ibis.Schema.from_pyarrow(rows.schema)
    place = ops.Namespace(catalog="temp", database="main")
    return ops.DatabaseTable(name, schema=schema, source=connection, namespace=place).to_expr()
