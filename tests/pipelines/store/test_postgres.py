"""What only a PostgreSQL server can do to the score store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from features.errors import SettingsError, StoreError
from pipelines.project.project import Project
from pipelines.store.opening import open_store
from pipelines.store.runs import NoStore
from pipelines.store.writer import with_decimals
from tests.features.servers import PostgresServer
from tests.pipelines.issued import (
    GROUPS_OF,
    VIEWS,
    batch,
    configured,
    issue,
    issue_for_views,
    read,
)

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("postgres")]


@pytest.fixture
def schema() -> str:
    return f"s{uuid4().hex}"


@pytest.fixture
def project(server: PostgresServer, schema: str, tmp_path: Path) -> Project:
    return configured(tmp_path, server.url(schema=schema))


@pytest.fixture
def login(
    server: PostgresServer, schema: str, tmp_path: Path
) -> Iterator[Callable[[str], Project]]:
    """Return a function that makes a user with some rights and the project as that user sees it."""
    name = f"u{uuid4().hex}"

    def with_rights(rights: str) -> Project:
        with server.connect() as admin:
            for statement in filter(
                None, [f"CREATE USER {name} PASSWORD 'pw'", *rights.split(";")]
            ):
                admin.execute(statement.format(schema=schema, user=name))
        query = f"host={quote(str(server.socket), safe='/')}&port={server.port}&schema={schema}"
        return configured(tmp_path / name, f"postgresql://{name}:pw@/postgres?{query}")

    yield with_rights
    with server.connect() as admin:
        admin.execute(f"DROP OWNED BY {name}; DROP USER {name}")


def test_the_schema_is_healthscore_where_none_is_named(
    server: PostgresServer, tmp_path: Path
) -> None:
    project = configured(tmp_path, server.url())
    issue(project, batch(["A"]))
    with server.connect() as admin:
        assert admin.execute("select count(*) from healthscore.runs").fetchall() == [(1,)]


def test_sql_sees_tables_and_views(server: PostgresServer, project: Project, schema: str) -> None:
    issue_for_views(project)
    with server.connect(options=f"-csearch_path={schema}") as admin:
        for query, answer in VIEWS:
            assert admin.execute(query).fetchall() == [answer], query


def test_a_store_of_a_later_version_is_refused(
    server: PostgresServer, project: Project, schema: str
) -> None:
    issue(project, batch(["A"]))
    with server.connect() as admin:
        admin.execute(f"update {schema}.healthscore_store set version = 7")
    for read_only in (True, False):
        opened = open_store(project, read_only=read_only)
        with pytest.raises(StoreError, match=r"has form 7, of a later version .* up to 6; install"):
            opened.__enter__()


def test_a_table_of_somebody_elses_is_left_alone(
    server: PostgresServer, project: Project, schema: str
) -> None:
    with server.connect() as admin:
        admin.execute(f"create schema {schema} create table runs (id integer)")
    for read_only in (True, False):
        opened = open_store(project, read_only=read_only)
        with pytest.raises(StoreError, match="holds 'runs', which healthscore did not make; set"):
            opened.__enter__()
    with server.connect() as admin:
        assert admin.execute(f"select count(*) from {schema}.runs").fetchall() == [(0,)]
        admin.execute(f"drop schema {schema} cascade; create schema {schema}")
    # A schema that an administrator made is filled.
    assert issue(project, batch(["A"])).revision == 1


def test_text_that_postgresql_cannot_keep_is_refused_in_a_sentence(project: Project) -> None:
    for given, where in (
        (batch(["A", "B\0"]), r"(accounts 'B\x00')"),
        (batch(["A"], segment=["\0"]), "of a segment or a signal's value"),
    ):
        with pytest.raises(StoreError) as refused:
            issue(project, given)
        assert str(refused.value) == (
            f"PostgreSQL keeps no text with the character NUL, and that {where} holds one; nothing"
            " was issued, so take it out of the tables or set [store] url to a DuckDB file"
        )
    assert issue(project, batch(["A"])).revision == 1


def test_a_reader_needs_rights_and_is_told_which(
    project: Project, login: Callable[[str], Project], schema: str, server: PostgresServer
) -> None:
    reader = login("")
    with pytest.raises(NoStore):
        read(reader)
    with pytest.raises(
        StoreError, match=r"does not let this user do that: permission denied .*; gr"
    ):
        issue(reader, batch(["A"]))
    issue(project, batch(["A"]))
    for opened in (open_store(reader, read_only=True), open_store(reader, read_only=False)):
        with pytest.raises(StoreError) as refused:
            opened.__enter__()
        rights = re.escape(f"GRANT USAGE ON SCHEMA {schema}, GRANT SELECT")
        assert re.search(
            f"may not be used by this user; run as its owner: {rights}", str(refused.value)
        )
    user = reader.settings.store.url.partition("://")[2].partition(":")[0]
    with server.connect() as admin:
        admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO {user}")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user}")
    assert read(reader)["account_id"].to_pylist() == ["A"]
    with pytest.raises(StoreError, match="permission denied for"):
        issue(reader, batch(["A"]), force=True)
    with server.connect() as admin:
        admin.execute(f"GRANT INSERT ON ALL TABLES IN SCHEMA {schema} TO {user}")
        admin.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}")
    assert issue(reader, batch(["A"]), force=True).revision == 2


def test_a_wrong_password_or_option_is_named_without_secrets(
    server: PostgresServer, tmp_path: Path
) -> None:
    wrong = server.url().replace(quote(server.PASSWORD, safe=""), "s3cret")
    with pytest.raises(StoreError, match=r"cannot be used: .*password authentication failed") as no:
        open_store(configured(tmp_path, wrong), read_only=True).__enter__()
    assert "s3cret" not in str(no.value)
    odd = configured(tmp_path, server.url(zzz="1"))
    with pytest.raises(SettingsError, match=r"has an option that PostgreSQL does not know: .*zzz"):
        open_store(odd, read_only=True).__enter__()


def test_settings_of_the_server_change_nothing(
    server: PostgresServer, project: Project, tmp_path: Path, schema: str
) -> None:
    options = "-c DateStyle=German -c extra_float_digits=-10 -c client_encoding=LATIN1"
    options += " -c default_transaction_isolation=serializable -c array_nulls=on"
    odd = configured(tmp_path / "odd", server.url(schema=schema, options=options))
    given = batch(["Ωé", "B"], score=[100 / 3, 1e-17])
    run = issue(odd, given)
    for seen in (odd, project):
        assert read(seen).to_pylist() == with_decimals(given).to_pylist()[::-1]
        with open_store(seen, read_only=True) as store:
            assert store.runs() == [run]


def test_what_has_no_smaller_form_is_held_as_it_is(
    server: PostgresServer, project: Project, schema: str
) -> None:
    """Numbers that are too large or too fine, and words that hold what stands between words."""
    odd = batch(
        list("abcdefg"),
        points_usage=[-1e17, 214748.3647, 214748.3648, -214748.3647, 0.0, -0.0, 1e-4],
        days_to_renewal=[32767.0, 32768.0, 0.5, None, -32767.0, 1e300, 7.0],
        probability=[0.0, 1.0, 2.5, 1e-9, 0.3, 1 / 3, 0.999999999],
        reason_signals=[["logins"]] * 6 + [[]],
        reason_points=[[0.0], [3e6], [-2147483.647], [1e-3], [5.0], [6.0], []],
        reason_values=[[""], ["x"], [None], ["\x1f"], ["\x1e"], ["NULL"], []],
    )
    issue(project, odd)
    assert read(project).to_pylist() == with_decimals(odd).to_pylist()
    with server.connect(options=f"-csearch_path={schema}") as admin:
        held = admin.execute(
            "select account_id from score_rows where points_usage is null order by 1"
        ).fetchall()
        wide = admin.execute(
            "select account_id from score_rows where reason_signals is not null order by 1"
        ).fetchall()
        names = admin.execute("select signals from run_signals").fetchall()
    assert held == [(name,) for name in "bdefg"]
    assert wide == [(name,) for name in "abde"]
    assert names == [(list(GROUPS_OF),)]
