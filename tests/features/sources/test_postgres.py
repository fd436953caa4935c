"""A PostgreSQL server as the source: what is found there, what is refused, in which words."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from features.errors import DataError, HealthscoreError, SettingsError
from features.sources.opening import open_source
from tests.features.servers import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def admin(postgres: PostgresServer) -> Iterator[Any]:
    with postgres.connect() as connection:
        connection.execute("""
            CREATE SCHEMA "Sales d'été";
            CREATE TYPE mood AS ENUM ('good', 'bad');
            CREATE DOMAIN money_amount AS numeric(10, 2);
            CREATE TABLE "Sales d'été".accounts
                (account_id uuid, created_at timestamptz, mood mood, paid money_amount, more jsonb);
            INSERT INTO "Sales d'été".accounts VALUES
                ('00000000-0000-0000-0000-000000000001', '2024-03-10 02:30-05', 'bad', 1.5, '{}');
            CREATE VIEW "Sales d'été"."Odd ""name"" %s" AS SELECT 1 AS x;
            CREATE SCHEMA bare;
            CREATE ROLE reader LOGIN PASSWORD 'reading';
            GRANT USAGE ON SCHEMA "Sales d'été" TO reader;
            GRANT SELECT (account_id) ON "Sales d'été".accounts TO reader;
        """)
        yield connection


def address(postgres: PostgresServer, login: str, database: str = "postgres", **query: str) -> str:
    options = {"host": str(postgres.socket), "port": str(postgres.port)} | query
    listed = "&".join(f"{key}={quote(value, safe='/')}" for key, value in options.items())
    return f"postgresql://{login}@/{database}?{listed}"


def failure(url: str) -> HealthscoreError:
    with pytest.raises(HealthscoreError) as caught, open_source(url, Path()):
        pass
    assert "\n" not in str(caught.value)
    return caught.value


def test_tables_and_views_of_a_schema_are_found(admin: Any, postgres: PostgresServer) -> None:
    with open_source(postgres.url(schema="Sales d'été"), Path()) as source:
        assert sorted(source.tables) == ['Odd "name" %s', "accounts"]
        accounts = source.table("ACCOUNTS", "[tables.accounts]")
        kinds = {name: str(kind) for name, kind in accounts.schema().items()}
        assert kinds["mood"] == "string"
        assert kinds["paid"] == "decimal(10, 2)"
        row = accounts.select(
            id=accounts.account_id.cast("string"),
            at=accounts.created_at.cast("timestamp"),
            paid=accounts.paid.cast("float64"),
        ).execute()
        assert row.to_numpy().tolist() == [
            ["00000000-0000-0000-0000-000000000001", datetime(2024, 3, 10, 7, 30), 1.5]
        ]
        assert source.tables['Odd "name" %s'].execute().x.tolist() == [1]
        with pytest.raises(DataError) as caught:
            source.table("acounts", "[tables.accounts]")
        assert str(caught.value) == (
            f"Table 'acounts', mapped to [tables.accounts], is not in the source '{source.url}';"
            " did you mean 'accounts'?"
        )


def test_tables_of_several_schemas_bear_their_names(admin: Any, postgres: PostgresServer) -> None:
    with open_source(postgres.url(schema="Sales d'été, Sales d'été"), Path()) as source:
        names = ['Sales d\'été/Odd "name" %s', "Sales d'été/accounts"]
        assert sorted(source.tables) == names
        assert source.tables[names[0]].execute().x.tolist() == [1]
    message = str(failure(postgres.url(schema="Sales d'été,bar")))
    assert message.startswith("The schema 'bar' of ")


def test_least_rights_are_enough_and_fewer_are_named(admin: Any, postgres: PostgresServer) -> None:
    url = address(postgres, "reader:reading", schema="Sales d'été")
    with open_source(url, Path()) as source:
        ids = source.tables["accounts"].select("account_id")
        assert source.engine.keep("ids", ids).count().execute() == 1
        with pytest.raises(DataError) as caught:
            source.tables['Odd "name" %s']
        assert str(caught.value) == (
            f"Table 'Odd \"name\" %s' of the source '{source.url}' may not be read by this user;"
            ' run as its owner: GRANT SELECT ON Sales d\'été.Odd "name" %s TO the user'
        )
    with (
        pytest.raises(DataError, match=r"^The engine PostgreSQL stopped: permission denied for"),
        open_source(url, Path()) as source,
    ):
        source.tables["accounts"].execute()
    admin.execute("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    try:
        message = str(failure(url))
    finally:
        admin.execute("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")
    assert message.startswith("The PostgreSQL server of 'postgresql://reader:***@/postgres?")
    assert "does not let this user compute: permission denied" in message
    assert message.endswith(
        "; grant TEMPORARY on the database and USAGE on the language plpgsql, and use a server that"
        " is no read-only copy"
    )


def test_what_the_server_refuses_is_said(admin: Any, postgres: PostgresServer) -> None:
    stem = r"^The PostgreSQL server of 'postgresql://{}:\*\*\*@/{}\?[^']*' cannot be used: {}"
    advice = r".*; start it, or correct source\.url or the password$"
    for url, user, database, reason in (
        (address(postgres, "reader:wr0ng-pass"), "reader", "postgres", ".*password authentication"),
        (address(postgres, "nobody:x"), "nobody", "postgres", ".*password authentication failed"),
        (address(postgres, "reader:reading", "crm"), "reader", "crm", '.*database "crm" does not'),
    ):
        error = failure(url)
        assert re.search(stem.format(user, database, reason) + advice, str(error)), str(error)
        assert error.exit_code == 3
        assert "wr0ng-pass" not in str(error)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = failure(f"postgresql://me:s3cr3t@127.0.0.1:{port}/crm")
    assert "Connection refused" in str(error)
    assert f"'postgresql://me:***@127.0.0.1:{port}/crm'" in str(error)


def test_schemas_that_are_not_there_or_empty_are_named(
    admin: Any, postgres: PostgresServer
) -> None:
    message = str(failure(postgres.url(schema="bar")))
    assert message.startswith("The schema 'bar' of 'postgresql://postgres:***@/postgres?")
    assert message.endswith(" does not exist; did you mean 'bare'?; correct ?schema= in source.url")
    message = str(failure(postgres.url(schema="bare")))
    assert message.endswith("&schema=bare' holds no table; correct ?schema= in source.url")


def test_unknown_options_are_named_without_the_password(postgres: PostgresServer) -> None:
    error = failure(postgres.url(colour="s3cr3t"))
    assert isinstance(error, SettingsError)
    assert 'has an option that PostgreSQL does not know: invalid connection option "colour"' in str(
        error
    ) or "colour" in str(error)


def test_passwords_come_from_where_libpq_looks(
    admin: Any, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = address(postgres, "postgres", schema="Sales d'été")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    assert "no password supplied" in str(failure(url))
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    with open_source(url, Path()) as source:
        assert len(source.tables) == 2
    monkeypatch.delenv("PGPASSWORD")
    escaped = postgres.PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / "pgpass").write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    with open_source(url, Path()) as source:
        assert len(source.tables) == 2
    monkeypatch.setenv("CRM", postgres.PASSWORD)
    with open_source(address(postgres, "postgres:${CRM}", schema="Sales d'été"), Path()) as source:
        assert "${CRM}" in source.url
        shown = repr(source.engine) + repr(source) + repr(vars(source)) + source.url
        assert postgres.PASSWORD not in shown
        assert quote(postgres.PASSWORD, safe="") not in shown


def test_a_statement_that_takes_too_long_is_said(postgres: PostgresServer, admin: Any) -> None:
    url = postgres.url(schema="Sales d'été", options="-c statement_timeout=100ms")
    with pytest.raises(DataError) as caught, open_source(url, Path()) as source:
        source.engine.connection.con.execute("SELECT pg_sleep(60)")
    assert str(caught.value) == (
        "The engine PostgreSQL stopped: canceling statement due to statement timeout; mend what it"
        " names and run again"
    )


def test_a_server_that_goes_away_is_said(postgres: PostgresServer, admin: Any) -> None:
    with pytest.raises(DataError) as caught:
        count_after_the_end(postgres.url(schema="Sales d'été"), admin)
    assert str(caught.value) == (
        "The engine PostgreSQL stopped: terminating connection due to administrator command; mend"
        " what it names and run again"
    )


def count_after_the_end(url: str, admin: Any) -> None:
    with open_source(url, Path()) as source:
        number = source.engine.connection.con.info.backend_pid
        admin.execute("SELECT pg_terminate_backend(%s)", [number])
        source.tables["accounts"].count().execute()


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = failure("postgresql://me:s3cr3t@server/crm")
    assert isinstance(error, SettingsError)
    assert str(error) == (
        "The source 'postgresql://me:***@server/crm' needs the PostgreSQL driver psycopg, which is"
        " not installed; run: pip install 'healthscore[postgres]'"
    )


def test_names_that_postgres_would_cut_stay_apart(postgres: PostgresServer, admin: Any) -> None:
    with open_source(postgres.url(schema="Sales d'été"), Path()) as source:
        one, two = "ü" * 5000 + "1", "ü" * 5000 + "2"
        accounts = source.tables["accounts"]
        kept = source.engine.keep("kept", accounts.select(**{one: accounts.mood, two: 3}))
        joined = kept.mutate(both=kept[one].concat(kept[two].cast("string")))
        assert joined.execute().to_dict("list") == {one: ["bad"], two: [3], "both": ["bad3"]}
