"""``[views.NAME]``: tables that a user's own SQL makes of the source's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import ibis
import ibis.expr.types as ir
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends import BaseBackend
from ibis.common.exceptions import IbisError
from pydantic import BaseModel, ConfigDict

from features.errors import DataError, SettingsError, first_line, nearest, sample
from features.sources.source import About, Source, Tables, same_name

_CHANGES = (
    sge.Insert, sge.Update, sge.Delete, sge.Merge, sge.Create, sge.Drop, sge.Alter, sge.Command,
    sge.Copy, sge.Into, sge.Set, sge.Attach, sge.Detach, sge.TruncateTable,
)  # fmt: skip


class View(BaseModel):
    """A ``[views.NAME]`` section.

    Parameters
    ----------
    sql : str
        One query without parameters, in the language of the source's engine. It reads tables of the
        source and views that stand before it, and nothing else.
    today_only : tuple of str
        Its columns that say what is so today: they may be a key or a name, and no value of a past
        date.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sql: str
    today_only: tuple[str, ...] = ()


def with_views(source: Source, views: Mapping[str, View]) -> Source:
    """Return a source with its views beside its tables.

    Raises
    ------
    SettingsError
        When a view is called as a table is, or is no single query.
    DataError
        When a view cannot be computed, or reads what is not there.
    """
    for name, view in views.items():
        if same_name(name, source.tables) is not None:
            raise SettingsError(
                f"[views.{name}] is called as a table of the source is; give it another name"
            )
        query = _query(name, view.sql, source)
        source = _with_view(source, name, view, query)
    return source


def _with_view(source: Source, name: str, view: View, query: sge.Query) -> Source:
    def made() -> ir.Table:
        return _made(source, name, view, query)

    @cache
    def is_of_files() -> bool:
        read = [same_name(each.name, source.tables) for each in query.find_all(sge.Table)]
        return any(source.is_text(each) or source.about(each).may_hold_totals
                   for each in read if each is not None)  # fmt: skip

    def about(other: str) -> About:
        if other == name:
            names = frozenset(view.today_only)
            return About(today_only=names, may_hold_totals=is_of_files())
        return source.about(other)

    names = [*source.tables, name]
    tables = Tables(names, lambda each: made() if each == name else source.tables[each])
    return source.with_tables(tables, about)


def _query(name: str, sql: str, source: Source) -> sge.Query:
    """Take a query apart and refuse what is none, or changes anything.

    Raises
    ------
    SettingsError
        When it is no single query.
    """
    dialect = source.engine.connection.dialect
    try:
        parsed = [each for each in sg.parse(sql, read=dialect) if each is not None]
    except sg.errors.SqlglotError as error:
        raise SettingsError(
            f"[views.{name}] sql cannot be read as {source.engine.name} SQL: {_plain(error)};"
            " correct it"
        ) from error
    if len(parsed) != 1 or not isinstance(parsed[0], sge.Query) or parsed[0].find(*_CHANGES):
        raise SettingsError(
            f"[views.{name}] sql must be one query that changes nothing, SELECT or WITH, found"
            f" {sample([sql.strip()])}; correct it"
        )
    if parsed[0].find(sge.Placeholder, sge.Parameter):
        raise SettingsError(
            f"[views.{name}] sql must not have parameters, as nobody fills them; write the values"
        )
    return parsed[0]


def _made(source: Source, name: str, view: View, query: sge.Query) -> ir.Table:
    """Put the tables that a query names into it, and let the engine say what it gives."""
    connection = source.engine.connection
    inner = {each.alias_or_name.casefold() for each in query.find_all(sge.CTE)}
    query = query.copy()
    for table in list(query.find_all(sge.Table)):
        written = table.name if isinstance(table.this, sge.Identifier) else ""
        qualified = f"{table.db}/{written}" if table.db else written
        if not table.db and written.casefold() in inner:
            continue
        known = same_name(qualified, source.tables) if written else None
        if known is None:
            hint = nearest(written, source.tables) or f"; it holds {sample(source.tables, 8)}"
            raise SettingsError(
                f"[views.{name}] sql reads {sample([table.sql(connection.dialect)])}, and a view"
                f" reads tables of the source alone{hint}"
            )
        expression = source.tables[known]
        rows = sg.parse_one(str(connection.compile(expression)), read=connection.dialect)
        alias = sge.to_identifier(table.alias_or_name, quoted=True)
        table.replace(sge.Subquery(this=rows, alias=sge.TableAlias(this=alias)))
    try:
        made = _rows_of(connection, query.sql(connection.dialect))
    except (*source.engine.errors, IbisError, sg.errors.SqlglotError) as error:
        raise DataError(
            f"[views.{name}] cannot be computed: {_plain(error)}; correct its sql"
        ) from error
    strange = [each for each in view.today_only if each not in made.columns]
    if strange:
        raise SettingsError(
            f"[views.{name}] today_only names {sample(strange)}, which the view does not give; its"
            f" columns are {sample(made.columns, 8)}"
        )
    return made


def _rows_of(connection: BaseBackend, sql: str) -> ir.Table:
    """Return what a query gives; Ibis asks for its types in ways that newer drivers refuse."""
    if connection.name == "duckdb":
        types = connection.compiler.type_mapper
        described = connection.con.execute(f"DESCRIBE {sql}").fetchall()
        schema = {row[0]: types.from_string(row[1]) for row in described}
        return connection.sql(sql, schema=schema)
    if connection.name == "postgres":
        name = ibis.util.gen_name("view")
        with connection.begin() as cursor:
            cursor.execute(f'CREATE TEMPORARY TABLE "{name}" AS {sql}')
        return connection.table(name)
    return connection.sql(sql)


def _plain(error: Exception) -> str:
    return first_line(error).replace("\x1b[4m", "").replace("\x1b[0m", "")
