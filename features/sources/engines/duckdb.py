"""The connection that computes expressions in the embedded DuckDB for less work than Ibis' own.

A step is two statements, and words for nothing are looked for only where one can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pandas as pd
import sqlglot.expressions as sge
from ibis.backends.duckdb import Backend
from ibis.backends.duckdb.converter import DuckDBPandasData
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from features.sources.files.plain_forms import MISSING_PATTERN, MISSING_WORDS

Sql = sge.Expr
"""A piece of a statement."""
_IS_MISSING = "is_word_for_nothing"
_BLANKS = " \t\n\r\v\f"
_BEFORE_SIGNS = "!"


class Compiler(DuckDBCompiler):
    """Ibis operations as DuckDB, looking for words only where one can be."""

    __slots__ = ()

    def visit_RegexSearch(self, op: ops.RegexSearch, *, arg: Sql, pattern: Sql) -> Sql:
        """Search a text; whether a column holds a word for nothing a macro tells."""
        if _asks_for_missing_words(op):
            return self.f.anon[_IS_MISSING](arg.this.this)
        return self.f.regexp_matches(arg, pattern)


def macros() -> str:
    """Return the statement that makes what compiled expressions call.

    Whether a text is a word for nothing is mostly told by its first letter. To take blanks off,
    make letters small and try a pattern on every row takes twenty times as long as reading it.
    """
    letters = {letter for word in MISSING_WORDS for letter in (word[0], word[0].upper())}
    # Blanks and signs come before any letter, and are passed by together.
    signs = max(letter for letter in letters if letter < "0")
    begins = [f"x < '{chr(ord(signs) + 1)}'"]
    begins += [
        f"(x >= '{letter}' AND x < '{chr(ord(letter) + 1)}')"
        for letter in sorted(letters)
        if letter > signs
    ]
    # What is longer than any word has blanks at an end, or is none.
    longest = max(map(len, MISSING_WORDS))
    may_be = f"strlen(x) <= {longest} OR x < '{_BEFORE_SIGNS}' OR right(x, 1) < '{_BEFORE_SIGNS}'"
    pattern = MISSING_PATTERN.replace("'", "''")
    return (
        f"CREATE TEMP MACRO {_IS_MISSING}(x) AS ({' OR '.join(begins)}) AND ({may_be})"
        f" AND regexp_matches(lower(trim(x, '{_BLANKS}')), '{pattern}')"
    )


def _asks_for_missing_words(op: ops.RegexSearch) -> bool:
    is_pattern = isinstance(op.pattern, ops.Literal) and op.pattern.value == MISSING_PATTERN
    if not is_pattern or not isinstance(op.arg, ops.Lowercase):
        return False
    # A macro writes out what it is given wherever it uses it.
    return isinstance(op.arg.arg, ops.Strip) and isinstance(op.arg.arg.arg, ops.Field)


class DuckBackend(Backend):
    """An Ibis connection whose steps are computed with two statements each.

    Ibis' own asks DuckDB where it is and what it made, and writes each query three times: for a
    company of a few thousand accounts that takes longer than the steps themselves.
    """

    compiler = Compiler()

    def _post_connect(self, extensions: Sequence[str] | None = None) -> None:
        super()._post_connect(extensions)
        self.con.execute(macros())

    def create_table(self, name: str, /, obj: object = None, **options: object) -> ir.Table:
        """Compute an expression into a temporary table."""
        if not (isinstance(obj, ir.Table) and options == {"temp": True}) or _has_nulls(obj):
            return super().create_table(name, obj, **options)
        self._run_pre_execute_hooks(obj)
        schema = ibis.schema({column: _as_kept(kind) for column, kind in obj.schema().items()})
        columns = schema.to_sqlglot_column_defs(self.dialect)
        place = ops.Namespace(catalog="temp", database="main")
        this = sge.Table(
            this=_name(name), db=_name(place.database), catalog=_name(place.catalog)
        ).sql(self.dialect)
        listed = ", ".join(column.sql(self.dialect, copy=False) for column in columns)
        step = self.compiler.to_sqlglot(obj).sql(self.dialect, copy=False)
        self.con.execute(f"CREATE TEMPORARY TABLE {this} ({listed})")
        self.con.execute(f"INSERT INTO {this} {step}").fetchall()
        return ops.DatabaseTable(name, schema=schema, source=self, namespace=place).to_expr()

    def execute(self, expr: ir.Expr, /, **options: object) -> object:
        """Fetch a result as pandas, counts over a table with one statement.

        Ibis' own has DuckDB plan each query twice and hand its one row over as Arrow.
        """
        table = expr.as_table()
        if options or not _is_plain_row(table):
            return super().execute(expr, **options)
        self._run_pre_execute_hooks(expr)
        rows = self.con.execute(self.compile(table)).fetchall()
        schema = table.schema()
        if len(rows) != 1 or not all(map(_is_told, rows[0], schema.types)):
            return super().execute(expr)
        frame = pd.DataFrame({name: [value] for name, value in zip(schema, rows[0], strict=True)})
        return expr.__pandas_result__(DuckDBPandasData.convert_table(frame, schema))

    def _run_pre_execute_hooks(self, expr: ir.Expr) -> None:
        """Register the rows that come from here; every function is DuckDB's own."""
        self._register_in_memory_tables(expr)


def _has_nulls(table: ir.Table) -> bool:
    return bool(table.schema().null_fields)


def _is_plain_row(table: ir.Table) -> bool:
    """Whether a result is one row of values that Python has types for."""
    operation = table.op()
    if not isinstance(operation, ops.Aggregate) or operation.groups:
        return False
    return all(
        kind.is_integer()
        or kind.is_boolean()
        or kind.is_float64()
        or kind.is_string()
        or (kind.is_timestamp() and kind.timezone is None and kind.scale in (None, 6))
        for kind in operation.schema.types
    )


def _is_told(value: object, kind: dt.DataType) -> bool:
    """Whether a value came as it is: infinite times come as Python's first and last."""
    if value is None or not kind.is_timestamp():
        return True
    return isinstance(value, datetime) and value not in (datetime.min, datetime.max)


def _name(name: str) -> sge.Identifier:
    return sge.to_identifier(name, quoted=True)


@cache
def _as_kept(kind: dt.DataType) -> dt.DataType:
    """Return the type that DuckDB tells of a column that was made with this one."""
    mapper = DuckBackend.compiler.type_mapper
    return mapper.from_string(mapper.to_string(kind), nullable=kind.nullable)
