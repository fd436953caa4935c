"""The way into the engines that every test here shares, and companies on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import ibis
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from features.errors import first_line
from features.sources.duckdb import duckdb_engine
from features.sources.engines.engine import Engine
from features.sources.source import Source
from features.tables.cleaning import CleanTable
from features.tables.company import READ_AS_SHOWN, Company, clean_tables, load_company
from features.tables.mapping.mapping import TablesSettings
from features.tables.mapping.reading_settings import ReadingSettings
from tests.features.lakes import (
    MariaServer,
    running_mariadb,
    write_delta,
    write_iceberg,
    write_mysql,
    write_parts,
)
from tests.features.servers import (
    PostgresServer,
    as_arrow,
    running_postgres,
    running_spark,
    write_postgres,
)
from tests.features.worlds import LAYOUT, World, filled_world, random_value, random_worlds

CompanyOf = Callable[..., Company]
Read = Callable[..., dict[str, CleanTable]]


@pytest.fixture(scope="session")
def worlds() -> st.SearchStrategy[World]:
    return random_worlds()


@pytest.fixture(scope="session")
def full_world() -> World:
    """Return every table and column, and so many accounts that every signal varies."""
    columns = {table: layout | {"recorded_at": "time"} for table, layout in LAYOUT.items()}
    return filled_world(columns, [f"account {number}" for number in range(240)], Random(7))


@pytest.fixture(scope="session")
def value_by_chance() -> Callable[[Random, str], Any]:
    """Return the function that draws a value for a column of a type."""
    return random_value


@pytest.fixture(scope="session")
def connection() -> Iterator[Backend]:
    engine = duckdb_engine()
    yield engine.connection
    engine.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return a running PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Return a Spark session with two executors."""
    with running_spark() as session:
        yield session


ENGINES = (
    "duckdb",
    pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.xdist_group("postgres")]),
    pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.xdist_group("spark")]),
)
READ_INTO_DUCKDB = (
    "lake",
    pytest.param("mysql", marks=[pytest.mark.mysql, pytest.mark.xdist_group("mysql")]),
)
Load = Callable[[Mapping[str, Any]], Source]


@pytest.fixture(scope="session", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Return the name of one engine after the other."""
    return str(request.param)


@pytest.fixture(scope="session")
def load_duckdb(connection: Backend) -> Load:
    engine = Engine("DuckDB", connection, (duckdb.Error,), lambda: None, first_line)

    def load(tables: Mapping[str, Any]) -> Source:
        held = {}
        for name, rows in tables.items():
            unique = ibis.util.gen_name(name)
            connection.con.register(unique, rows)
            held[name] = connection.table(unique)
        return Source(engine, held, "memory")

    return load


@pytest.fixture(scope="session")
def load_postgres(postgres: PostgresServer) -> Iterator[Load]:
    from features.sources.postgres import open_postgres, schema_tables

    with postgres.connect() as admin:
        admin.execute("CREATE SCHEMA empty; CREATE TABLE empty.nothing ()")
        engine = open_postgres(postgres.url(schema="empty")).engine

        def load(tables: Mapping[str, Any]) -> Source:
            schema = ibis.util.gen_name("loaded")
            admin.execute(f"CREATE SCHEMA {schema}")
            for name, rows in tables.items():
                write_postgres(admin, f'{schema}."{name}"', as_arrow(rows))
            return Source(engine, schema_tables(engine, schema, "memory"), "memory")

        yield load
        engine.close()


@pytest.fixture(scope="session")
def load_spark(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    from features.sources.spark import folder_tables
    from features.sources.spark_session import engine_of_session

    engine = engine_of_session(spark)

    def load(tables: Mapping[str, Any]) -> Source:
        folder = tmp_path_factory.mktemp("spark")
        for name, rows in tables.items():
            pq.write_table(as_arrow(rows), folder / f"{name}.parquet")
        return Source(engine, folder_tables(engine, folder)[0], "memory")

    yield load
    engine.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """Return a running MariaDB server."""
    with running_mariadb() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIA_PASSWORD", server.PASSWORD)
        yield server


@pytest.fixture(scope="session")
def load_mysql(mariadb: MariaServer) -> Iterator[Load]:
    from features.sources.mysql import open_mysql

    opened: list[Source] = []

    def load(tables: Mapping[str, Any]) -> Source:
        database = ibis.util.gen_name("loaded")
        with mariadb.connect() as admin:
            with admin.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {database}")
            for name, rows in tables.items():
                write_mysql(admin, f"{database}.`{name}`", as_arrow(rows))
        opened.append(open_mysql(mariadb.url(database)))
        return opened[-1]

    yield load
    for source in opened:
        source.engine.close()


@pytest.fixture(scope="session")
def load_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Put tables by turns into Delta, Iceberg and several plain files."""
    from features.sources.duckdb import open_duckdb

    opened: list[Source] = []

    def load(tables: Mapping[str, Any]) -> Source:
        folder = tmp_path_factory.mktemp("lake")
        for number, (name, rows) in enumerate(tables.items()):
            arrow = as_arrow(rows)
            if number % 3 == 0:
                write_delta(folder / name, arrow.slice(0, len(arrow) // 2))
                write_delta(folder / name, arrow.slice(len(arrow) // 2), "append")
            elif number % 3 == 1:
                write_iceberg(folder / name, arrow)
            else:
                write_parts(folder / name, arrow, 3)
        opened.append(open_duckdb(str(folder), folder))
        return opened[-1]

    yield load
    for source in opened:
        source.engine.close()


@pytest.fixture(scope="session")
def load_on(request: pytest.FixtureRequest, engine_name: str) -> Load:
    """Return a function that puts tables, given as Arrow or pandas, into one of the engines."""
    load: Load = request.getfixturevalue(f"load_{engine_name}")
    return load


def company_from(load: Load) -> CompanyOf:
    def company(
        tables: Mapping[str, Any],
        mapping: Mapping[str, Any] | None = None,
        known_until: date | None = None,
        reading: ReadingSettings = READ_AS_SHOWN,
    ) -> Company:
        settings = TablesSettings.model_validate(mapping or {name: {} for name in tables})
        return load_company(load(tables), settings, reading=reading, known_until=known_until)

    return company


@pytest.fixture(scope="session")
def company_of(load_duckdb: Load) -> CompanyOf:
    """Return a function that maps tables, under their contract names, to a company."""
    return company_from(load_duckdb)


@pytest.fixture(scope="session", params=ENGINES[:2])
def company_quick(request: pytest.FixtureRequest) -> CompanyOf:
    """Return the same function for the engines whose queries start at once, unlike Spark's."""
    return company_from(request.getfixturevalue(f"load_{request.param}"))


@pytest.fixture(scope="session", params=ENGINES[:2])
def read_quick(request: pytest.FixtureRequest) -> Read:
    """Return a function that maps and cleans tables and counts nothing, a tenth of the work."""
    load = request.getfixturevalue(f"load_{request.param}")

    def read(
        tables: Mapping[str, Any], mapping: Mapping[str, Any] | None = None, **reading: Any
    ) -> dict[str, CleanTable]:
        settings = TablesSettings.model_validate(mapping or {name: {} for name in tables})
        return clean_tables(
            load(tables), settings, ReadingSettings(**reading), may_have_copies=False
        )

    return read


@pytest.fixture(scope="session", params=ENGINES[1:])
def company_computed(request: pytest.FixtureRequest) -> CompanyOf:
    """Return the same function for the engines that compute otherwise than DuckDB."""
    return company_from(request.getfixturevalue(f"load_{request.param}"))


@pytest.fixture(scope="session", params=READ_INTO_DUCKDB)
def company_read(request: pytest.FixtureRequest) -> CompanyOf:
    """Return the same function for places whose tables DuckDB reads and computes."""
    return company_from(request.getfixturevalue(f"load_{request.param}"))


@pytest.fixture(scope="session")
def company_on(load_on: Load) -> CompanyOf:
    """Return the same function for one of the engines."""
    return company_from(load_on)


@pytest.fixture(scope="session")
def company_of_world(company_of: CompanyOf) -> Callable[[World], Company]:
    def load(world: World) -> Company:
        mapping: dict[str, Any] = {name: {} for name in world.columns}
        mapping["accounts"] = {"attributes": ["industry", "employees"]}
        return company_of(world.arrow(), mapping, known_until=date(2024, 7, 1))

    return load


@pytest.fixture(scope="session")
def full_company(full_world: World, company_of_world: Callable[[World], Company]) -> Company:
    """Return the full world, mapped and counted; nobody changes it."""
    return company_of_world(full_world)


@pytest.fixture(scope="session")
def full_computed(company_computed: CompanyOf, full_world: World) -> Company:
    """Return the full world on an engine that computes otherwise than DuckDB."""
    mapping: dict[str, Any] = {name: {} for name in full_world.columns}
    mapping["accounts"] = {"attributes": ["industry", "employees"]}
    return company_computed(full_world.arrow(), mapping, known_until=date(2024, 7, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Return a function that writes CSV files and returns their folder."""

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return write
