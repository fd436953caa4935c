"""The connection that computes expressions in the embedded DuckDB, two statements a step."""

from __future__ import annotations

from functools import cache

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot.expressions as sge
from ibis.backends.duckdb import Backend


class DuckBackend(Backend):
    """An Ibis connection whose steps are computed with two statements each.

    Ibis' own asks DuckDB where it is and what it made, and writes each query three times: for a
    company of a few thousand accounts that takes longer than the steps themselves.
    """

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

    def _run_pre_execute_hooks(self, expr: ir.Expr) -> None:
        """Register the rows that come from here; every function is DuckDB's own."""
        self._register_in_memory_tables(expr)


def _has_nulls(table: ir.Table) -> bool:
    return bool(table.schema().null_fields)


def _name(name: str) -> sge.Identifier:
    return sge.to_identifier(name, quoted=True)


@cache
def _as_kept(kind: dt.DataType) -> dt.DataType:
    """Return the type that DuckDB tells of a column that was made with this one."""
    mapper = DuckBackend.compiler.type_mapper
    return mapper.from_string(mapper.to_string(kind), nullable=kind.nullable)
