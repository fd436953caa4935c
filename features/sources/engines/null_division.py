"""Division as DuckDB does it: by zero it gives NULL, where other engines stop."""

from __future__ import annotations

from typing import Any

import ibis.expr.datatypes as dt
import sqlglot.expressions as sge


class NullDivision:
    """What PostgreSQL's and Spark's compilers share; put before Ibis' own compiler."""

    __slots__ = ()

    def visit_Divide(self: Any, op: Any, *, left: Any, right: Any) -> Any:
        """Divide; by zero gives NULL."""
        return self.binop(sge.Div, self.cast(left, dt.float64), self.f.nullif(right, 0))

    def visit_FloorDivide(self: Any, op: Any, *, left: Any, right: Any) -> Any:
        """Divide and round down; by zero gives NULL."""
        quotient = self.visit_Divide(op, left=left, right=right)
        return self.cast(self.f.floor(quotient), op.dtype)
