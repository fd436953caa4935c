"""Expressions as PostgreSQL's SQL, with the results they have on DuckDB.

PostgreSQL has no ``TRY_CAST``, sums whole numbers into decimals, orders text by the database's
language, and divides by zero with an error. Each is settled here, where expressions become SQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import NULL
from ibis.backends.sql.compilers.postgres import PostgresCompiler

from features.sources.engines.null_division import NullDivision, Sql

_LONGEST_NAME = 63
_BIGGEST_WHOLE = 9_223_372_036_854_774_784.0


class Compiler(NullDivision, PostgresCompiler):
    """Ibis operations as PostgreSQL, where Ibis' own would differ from DuckDB."""

    __slots__ = ()

    def to_sqlglot(self, expr: ir.Expr, **options: object) -> sge.Query:
        """Compile an expression, with names that PostgreSQL can tell apart."""
        query = super().to_sqlglot(expr, **options)
        for identifier in query.find_all(sge.Identifier):
            identifier.set("this", short_name(identifier.this))
        return query

    def visit_TryCast(self, op: ops.TryCast, *, arg: Sql, to: dt.DataType) -> Sql:
        """Read text without failing."""
        kind = op.arg.dtype
        if kind.is_string() and to.is_float64():
            return self.f.anon["pg_temp.try_number"](arg)
        if kind.is_string() and to.is_timestamp():
            return self.cast(self.f.anon["pg_temp.try_time"](arg), to)
        if kind.is_floating() and to.is_int64():
            fits = sge.Between(
                this=arg, low=sge.convert(-_BIGGEST_WHOLE), high=sge.convert(_BIGGEST_WHOLE)
            )
            return self.if_(fits, self.cast(arg, to), NULL)
        return self.visit_Cast(op, arg=arg, to=to)

    def visit_Cast(self, op: ops.Cast, *, arg: Sql, to: dt.DataType) -> Sql:
        """Let truth values become numbers, which PostgreSQL allows for integers alone."""
        if op.arg.dtype.is_boolean() and to.is_numeric() and not to.is_int32():
            arg = self.cast(arg, dt.int32)
        if op.arg.dtype.is_floating() and to.is_string():
            # Infinity and NaN are inf and nan elsewhere.
            return self.f.lower(self.f.replace(self.cast(arg, to), "Infinity", "inf"))
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: object, dtype: dt.DataType) -> Sql:
        """Write fractions as floating point; bare ones are decimals."""
        written = super().visit_NonNullLiteral(op, value=value, dtype=dtype)
        if written is None and dtype.is_floating():
            written = self.visit_DefaultLiteral(op, value=value, dtype=dtype)
            return self.cast(written, dt.float64)
        return written

    def visit_Sum(self, op: ops.Sum, *, arg: Sql, where: Sql | None) -> Sql:
        """Sum without leaving the type: whole numbers would become decimals."""
        if op.arg.dtype.is_floating():
            return self.agg.sum(self.cast(arg, dt.float64), where=where)
        return self.cast(super().visit_Sum(op, arg=arg, where=where), op.dtype)

    def visit_Mean(self, op: ops.Mean, *, arg: Sql, where: Sql | None) -> Sql:
        """Average in floating point: whole numbers would become decimals."""
        if op.arg.dtype.is_boolean():
            arg = self.cast(arg, dt.int32)
        return self.agg.avg(self.cast(arg, dt.float64), where=where)

    def visit_Min(self, op: ops.Min, *, arg: Sql, where: Sql | None) -> Sql:
        """Compare text by its bytes, not by the database's language."""
        return super().visit_Min(op, arg=_by_bytes(op.arg, arg), where=where)

    def visit_Max(self, op: ops.Max, *, arg: Sql, where: Sql | None) -> Sql:
        """Compare text by its bytes, not by the database's language."""
        return super().visit_Max(op, arg=_by_bytes(op.arg, arg), where=where)

    def visit_SortKey(
        self, op: ops.SortKey, *, arg: Sql, ascending: bool, nulls_first: bool
    ) -> Sql:
        """Sort text by its bytes, not by the database's language."""
        return super().visit_SortKey(
            op, arg=_by_bytes(op.arg, arg), ascending=ascending, nulls_first=nulls_first
        )

    def visit_ScalarUDF(self, op: ops.ScalarUDF, **arguments: Sql) -> Sql:
        """Count bits, which PostgreSQL does in strings of bits, not in numbers."""
        if op.__func_name__ != "bit_count":
            return super().visit_ScalarUDF(op, **arguments)
        (number,) = arguments.values()
        bits = sge.Cast(this=number, to=sge.DataType.build("BIT(64)", dialect=self.dialect))
        return self.f.anon.bit_count(bits)

    def visit_Levenshtein(self, op: ops.Levenshtein, *, left: Sql, right: Sql) -> Sql:
        """Count edits between texts; PostgreSQL's own function is an extension."""
        return self.f.anon["pg_temp.edits"](self.cast(left, dt.string), self.cast(right, dt.string))

    def visit_First(
        self,
        op: ops.First,
        *,
        arg: Sql,
        where: Sql | None,
        order_by: Sequence[Sql],
        include_null: bool,
    ) -> Sql:
        """Take the first value that is there; PostgreSQL has no such aggregate."""
        present = sge.Not(this=sge.Is(this=arg, expression=NULL))
        where = present if where is None else sg.and_(present, where)
        listed = self.agg.array_agg(arg, where=where, order_by=order_by)
        return sge.Bracket(this=sge.paren(listed, copy=False), expressions=[sge.convert(1)])

    def visit_Arbitrary(self, op: ops.Arbitrary, *, arg: Sql, where: Sql | None) -> Sql:
        """Take any value that is there."""
        return self.visit_First(op, arg=arg, where=where, order_by=(), include_null=False)


def short_name(name: str) -> str:
    """Return a name of at most 63 bytes, where PostgreSQL would cut it, that is still unique."""
    written = name.encode()
    if len(written) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(written).hexdigest()[:16]
    return f"{written[:40].decode(errors='ignore')}_{digest}"


def _by_bytes(op: ops.Value, arg: Sql) -> Sql:
    if not op.dtype.is_string():
        return arg
    return sge.Collate(this=arg, expression=sge.to_identifier("C", quoted=True))
