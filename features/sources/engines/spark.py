"""How expressions run on Spark with the results they have on DuckDB.

Spark calls NaN missing where Ibis asks, writes fractions as decimals, counts whole seconds only,
and computes nothing before a result is asked for. Each is settled here.
"""

from __future__ import annotations

import re

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.sql.compilers.base import NULL, SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler

from features.sources.engines.engine import to_pandas
from features.sources.engines.null_division import NullDivision, Sql


class Compiler(NullDivision, PySparkCompiler):
    """Ibis operations as Spark SQL, where Ibis' own would differ from DuckDB."""

    __slots__ = ()

    SIMPLE_OPS = {ops.BitAnd: "bit_and", ops.BitOr: "bit_or", ops.BitXor: "bit_xor"}  # noqa: RUF012

    def visit_Cast(self, op: ops.Cast, *, arg: Sql, to: dt.DataType) -> Sql:
        """Write infinity and NaN as elsewhere: inf and nan."""
        if op.arg.dtype.is_floating() and to.is_string():
            return self.f.lower(self.f.replace(self.cast(arg, to), "Infinity", "inf"))
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: object, dtype: dt.DataType) -> Sql:
        """Write fractions as floating point; bare ones are decimals of few digits."""
        if dtype.is_floating():
            written = self.visit_DefaultLiteral(op, value=value, dtype=dtype)
            return self.cast(written, dt.float64)
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_Field(self, op: ops.Field, *, rel: ops.Relation, name: str) -> Sql:
        """Name a column; Ibis' own would look up an option of its Spark module here."""
        return SQLGlotCompiler.visit_Field(self, op, rel=rel, name=name)

    def visit_IsNull(self, op: ops.IsNull, *, arg: Sql) -> Sql:
        """Ask for NULL alone; NaN is a number here as elsewhere."""
        return sge.Is(this=arg, expression=NULL)

    def visit_NotNull(self, op: ops.NotNull, *, arg: Sql) -> Sql:
        """Ask for NULL alone; NaN is a number here as elsewhere."""
        return sge.Not(this=sge.paren(sge.Is(this=arg, expression=NULL), copy=False))

    def visit_IsInf(self, op: ops.IsInf, *, arg: Sql) -> Sql:
        """Ask for both infinities; Ibis compares the expressions themselves, which never match."""
        return arg.isin(self.POS_INF, self.NEG_INF)

    def visit_Sum(self, op: ops.Sum, *, arg: Sql, where: Sql | None) -> Sql:
        """Sum whole numbers as wide as possible."""
        return self.cast(super().visit_Sum(op, arg=arg, where=where), op.dtype)

    def visit_CountStar(self, op: ops.CountStar, *, arg: Sql, where: Sql | None) -> Sql:
        """Count rows; of none there are zero."""
        if where is None:
            return super().visit_CountStar(op, arg=arg, where=where)
        return self.f.anon.count_if(where)

    def visit_TimestampDelta(
        self, op: ops.TimestampDelta, *, part: object, left: Sql, right: Sql
    ) -> Sql:
        """Subtract times exactly."""
        if op.part.value != "microsecond":
            return super().visit_TimestampDelta(op, part=part, left=left, right=right)
        micros = [self.f.anon.unix_micros(self.cast(arg, dt.timestamp)) for arg in (left, right)]
        return self.binop(sge.Sub, *micros)

    def visit_RegexReplace(
        self,
        op: ops.RegexReplace,
        *,
        arg: Sql,
        pattern: Sql,
        replacement: Sql,
    ) -> Sql:
        r"""Name groups in Java's way, ``$1`` for ``\1``."""
        if isinstance(op.replacement, ops.Literal):
            replacement = sge.convert(re.sub(r"\\(\d)", r"$\1", op.replacement.value))
        return self.f.regexp_replace(arg, pattern, replacement)


class SparkBackend(Backend):
    """An Ibis connection whose steps are computed at once and whose results arrive as Arrow."""

    compiler = Compiler()

    def create_table(self, name: str, /, obj: object = None, **options: object) -> ir.Table:
        """Compute an expression and hold its rows in the executors, or where checkpoints go."""
        if not (isinstance(obj, ir.Table) and options == {"temp": True}):
            return super().create_table(name, obj, **options)
        self._run_pre_execute_hooks(obj)
        rows = self._session.sql(self.compile(obj))
        # A checkpoint also forgets how the rows came about, or plans would grow with every step.
        # What one executor holds is lost with it; what is written down outlives it.
        is_kept = self._session.sparkContext.getCheckpointDir() is not None
        held = rows.checkpoint() if is_kept else rows.localCheckpoint()
        held.createTempView(name)
        return ops.DatabaseTable(name, schema=obj.schema(), source=self).to_expr()

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        rows = op.data.to_pyarrow(op.schema)
        self._session.createDataFrame(rows).createOrReplaceTempView(op.name)

    def to_pyarrow(
        self, expr: ir.Expr, /, **options: object
    ) -> pa.Table | pa.ChunkedArray | pa.Scalar:
        """Fetch a result as Arrow."""
        return expr.__pyarrow_result__(self._fetch(expr, **options))

    def execute(self, expr: ir.Expr, /, **options: object) -> object:
        """Fetch a result as pandas."""
        return to_pandas(expr, self._fetch(expr, **options))

    def _fetch(self, expr: ir.Expr, **options: object) -> pa.Table:
        self._run_pre_execute_hooks(expr)
        table = expr.as_table()
        rows = self._session.sql(self.compile(table, **options)).toArrow()
        # Spark's times are instants, which the session's zone, UTC, makes plain ones.
        return rows.cast(table.schema().to_pyarrow())
