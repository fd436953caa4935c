"""The engine that holds and computes the tables: what is asked of DuckDB, PostgreSQL and Spark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis.backends import BaseBackend
from ibis.formats.pandas import PandasData
from pyarrow import types

# Merging the steps of a query into one SELECT is what every engine does for itself; done in Python
# it takes a fifth of a nightly run of a few thousand accounts.
ibis.options.sql.fuse_selects = False


class Remembered(Protocol):
    """What was computed of a table's parts on earlier nights."""

    def covers(self, rows: ir.Table) -> bool:
        """Tell whether rows come row by row from the parts of one table that is kept."""
        ...

    def each(self, rows: ir.Table, step: Callable[[ir.Table], ir.Table]) -> ir.Table:
        """Return a step's results on every part, one below the other; else of all rows at once."""
        ...


class Nothing:
    """Nothing is remembered: each step is computed of all rows at once."""

    def covers(self, rows: ir.Table) -> bool:
        """Tell that no rows are covered."""
        return False

    def each(self, rows: ir.Table, step: Callable[[ir.Table], ir.Table]) -> ir.Table:
        """Return the step's result on all rows."""
        return step(rows)


NOTHING = Nothing()


@dataclass(frozen=True)
class Engine:
    """Where Ibis expressions run.

    Expressions are the same on every engine. What engines do differently is settled where
    expressions become SQL, in the connection's compiler.

    Parameters
    ----------
    name : str
        For messages.
    connection : ibis backend
        Its ``create_table(name, expression, temp=True)`` computes the expression at once.
    errors : tuple of exception types
        What its driver raises.
    close : callable
        Gives back what was opened.
    explain : callable
        Returns what a driver's error says, in a line without secrets.
    remembered : Remembered
        What need not be computed again.
    unchanged : callable
        Raises a DataError where a file was written since it was read.
    """

    name: str
    connection: BaseBackend
    errors: tuple[type[Exception], ...]
    close: Callable[[], None]
    explain: Callable[[Exception], str]
    remembered: Remembered = NOTHING
    unchanged: Callable[[], None] = lambda: None

    def keep(self, name: str, table: ir.Table) -> ir.Table:
        """Compute a step once, under a name of its own that ends with the connection."""
        return self.connection.create_table(ibis.util.gen_name(name), table, temp=True)


def to_pandas(expression: ir.Expr, table: pa.Table) -> object:
    """Turn an Arrow result into what the expression gives in pandas, on every engine alike."""
    frame = pd.DataFrame(
        {
            name: column.to_pandas() if _keeps_its_type(column) else column.to_pylist()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )
    schema = expression.as_table().schema()
    return expression.__pandas_result__(PandasData.convert_table(frame, schema))


def _keeps_its_type(column: pa.ChunkedArray) -> bool:
    """Whether pandas has gaps of this type: integers with gaps would become floats."""
    kind = column.type
    with_gaps = types.is_floating(kind) or types.is_string(kind) or types.is_timestamp(kind)
    return with_gaps or not (column.null_count or types.is_nested(kind))
