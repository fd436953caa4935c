"""The connection that computes expressions on a PostgreSQL server."""

from __future__ import annotations

import io

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.csv as pc
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.postgres import Backend

from features.sources.engines.engine import to_pandas
from features.sources.engines.null_division import Sql
from features.sources.engines.postgres_sql import Compiler, short_name

# An exception inside a function undoes that function alone. The schema pg_temp is the session's.
_FUNCTIONS = """
CREATE FUNCTION pg_temp.try_number(written text) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN written::double precision;
EXCEPTION
    -- Too large or too small to be told from infinity or zero; PostgreSQL refuses both.
    WHEN numeric_value_out_of_range THEN
        RETURN CASE WHEN abs(written::numeric) < 1 THEN 0
            ELSE sign(written::numeric) * 'Infinity'::double precision END;
    WHEN data_exception THEN RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.try_time(written text) RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    -- The other engines cut what lies below a microsecond; PostgreSQL would round.
    RETURN regexp_replace(written, '([.][0-9]{6})[0-9]+', '\\1')::timestamptz;
EXCEPTION WHEN data_exception THEN RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.edits(one text, other text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    -- Of each beginning of the other text, the edits that lead to it from what was read of the one.
    edits int[] := ARRAY(SELECT generate_series(1, length(other)));
    letters text[] := string_to_array(other, NULL);
    letter text; before int := length(other); corner int; least_here int;
BEGIN
    IF other = '' THEN RETURN length(one); END IF;
    FOR place IN 1 .. length(one) LOOP
        letter := substr(one, place, 1);
        corner := place - 1;
        before := place;
        FOR at IN 1 .. cardinality(letters) LOOP
            least_here := least(
                before + 1, edits[at] + 1, corner + (letter <> letters[at])::int
            );
            corner := edits[at];
            edits[at] := least_here;
            before := least_here;
        END LOOP;
    END LOOP;
    RETURN before;
END $$;
"""


class PostgresBackend(Backend):
    """An Ibis connection whose steps are computed at once and whose results arrive as Arrow."""

    compiler = Compiler()

    def prepare(self) -> None:
        """Make the session's functions; each expression relies on them."""
        with self.con.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute("SET DateStyle = 'ISO, MDY'")
            # Compiling each of many short queries takes longer than running it.
            cursor.execute("SET jit = off")
            cursor.execute(_FUNCTIONS)

    def typed_table(self, name: str, schema: str, columns: dict[str, str]) -> ir.Table:
        """Name a table of a schema whose columns have these PostgreSQL types."""
        types = {
            column: self.compiler.type_mapper.from_string(kind) for column, kind in columns.items()
        }
        return ops.DatabaseTable(
            name,
            schema=ibis.schema(types),
            source=self,
            namespace=ops.Namespace(database=schema),
        ).to_expr()

    def create_table(self, name: str, /, obj: object = None, **options: object) -> ir.Table:
        """Compute an expression into a temporary table and let the planner know its size."""
        if not (isinstance(obj, ir.Table) and options == {"temp": True}):
            return super().create_table(name, obj, **options)
        self._run_pre_execute_hooks(obj)
        schema = obj.schema()
        columns = [_typed(short_name(column), kind) for column, kind in schema.items()]
        # PostgreSQL computes CREATE TABLE AS with several processes, and INSERT with one.
        step = sg.select(*columns).from_(self.compiler.to_sqlglot(obj).subquery("step"))
        this = sge.table_(name, quoted=True).sql(self.dialect)
        with self.con.cursor() as cursor, self.con.transaction():
            cursor.execute(f"CREATE TEMPORARY TABLE {this} AS {step.sql(self.dialect)}")
            cursor.execute(f"ANALYZE {this}")
        return ops.DatabaseTable(name, schema=schema, source=self).to_expr()

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        super()._register_in_memory_table(op)
        self.con.execute(f"ANALYZE {sge.table_(op.name, quoted=True).sql(self.dialect)}")

    def to_pyarrow(
        self, expr: ir.Expr, /, **options: object
    ) -> pa.Table | pa.ChunkedArray | pa.Scalar:
        """Fetch a result as text in one stream, many times faster than row by row."""
        return expr.__pyarrow_result__(self._fetch(expr, **options))

    def execute(self, expr: ir.Expr, /, **options: object) -> object:
        """Fetch a result as pandas."""
        return to_pandas(expr, self._fetch(expr, **options))

    def _fetch(self, expr: ir.Expr, **options: object) -> pa.Table:
        table = expr.as_table()
        schema = table.schema()
        if not all(_is_flat(kind) for kind in schema.types):
            return super().to_pyarrow(table, **options)
        self._run_pre_execute_hooks(expr)
        query = self.compile(table, **options)
        received = io.BytesIO()
        with (
            self.con.cursor() as cursor,
            self.con.transaction(),
            cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy,
        ):
            for block in copy:
                received.write(block)
        received.seek(0)
        return _from_csv(received, schema)


def _typed(name: str, kind: dt.DataType) -> Sql:
    column = sg.column(name, quoted=True)
    return column if kind.is_string() else Compiler().cast(column, kind).as_(name, quoted=True)


def _is_flat(kind: dt.DataType) -> bool:
    return bool(kind.is_numeric() or kind.is_string() or kind.is_timestamp() or kind.is_date())


def _from_csv(text: io.BytesIO, schema: ibis.Schema) -> pa.Table:
    """Read what COPY wrote; an empty field is NULL and a quoted one is text."""
    types = schema.to_pyarrow()
    if not text.getbuffer().nbytes:
        return types.empty_table()
    return pc.read_csv(
        text,
        read_options=pc.ReadOptions(column_names=list(schema.names), block_size=1 << 26),
        parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
            column_types={field.name: field.type for field in types},
        ),
    )
