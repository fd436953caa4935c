"""Division as DuckDB does it: by zero it gives NULL, where other engines stop."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import SQLGlotCompiler

Sql = sge.Expr
"""A piece of a statement."""


class NullDivision:
    """What PostgreSQL's and Spark's compilers share; put before Ibis' own compiler."""

    __slots__ = ()

    def visit_Divide(self: SQLGlotCompiler, op: ops.Divide, *, left: Sql, right: Sql) -> Sql:
        """Divide; by zero gives NULL."""
        return self.binop(sge.Div, self.cast(left, dt.float64), self.f.nullif(right, 0))

    def visit_FloorDivide(
        self: SQLGlotCompiler, op: ops.FloorDivide, *, left: Sql, right: Sql
    ) -> Sql:
        """Divide and round down; by zero gives NULL."""
        quotient = self.visit_Divide(op, left=left, right=right)
        return self.cast(self.f.floor(quotient), op.dtype)
