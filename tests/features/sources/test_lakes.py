"""Tables that are folders, buckets, catalogues and servers: what is read, and what is refused."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError, HealthscoreError, SettingsError
from features.signals.usage import MONTHS
from features.sources.engines.compiled import COMPILED_ONLY, compiled, label_of
from features.sources.lake.parts import PartedTable, file_part
from features.sources.opening import open_source
from features.windows.panes import Events, Measure, aggregate_windows
from tests.features.lakes import (
    Bucket,
    MariaServer,
    serving_bucket,
    write_delta,
    write_iceberg,
    write_mysql,
    write_parts,
)

ROWS = pa.table({"account_id": ["a", "b", "c", "d"], "n": [1, 2, 3, 4]})


def held(url: str, folder: Path, table: str = "usage") -> list[dict[str, Any]]:
    with open_source(url, folder) as source:
        rows: list[dict[str, Any]] = source.tables[table].order_by("n").to_pyarrow().to_pylist()
        return rows


def refused(url: str, folder: Path, table: str = "usage") -> str:
    with pytest.raises(HealthscoreError) as raised:
        held(url, folder, table)
    return str(raised.value)


def write_months(folder: Path) -> None:
    for month, rows in (("2024-01-01", ROWS.slice(0, 2)), ("2024-02-01", ROWS.slice(2))):
        place = folder / f"month={month}" / "shard=7"
        place.mkdir(parents=True)
        pq.write_table(rows, place / "part-0.parquet")


def test_folders_named_by_keys_are_columns_and_prune(tmp_path: Path) -> None:
    # Folders above the table are named like keys too, and are none of its columns.
    lake = tmp_path / "env=prod"
    write_months(lake / "usage")
    with open_source("env=prod", tmp_path) as source:
        table = source.tables["usage"]
        kinds = {name: str(kind) for name, kind in table.schema().items()}
        assert kinds == {"account_id": "string", "n": "int64", "month": "date", "shard": "int64"}
        newest = table.filter(table.month >= date(2024, 2, 1))
        assert newest.n.to_pyarrow().to_pylist() == [3, 4]
        plan = source.engine.connection.con.sql("EXPLAIN " + ibis.to_sql(newest, "duckdb"))
        assert "1/2" in plan.fetchall()[0][1]


def test_files_may_gain_lose_and_retype_a_column(tmp_path: Path) -> None:
    (tmp_path / "usage").mkdir()
    pq.write_table(ROWS, tmp_path / "usage" / "part-1.parquet")
    newer = pa.table({"n": [5.5], "plan": ["x"]})
    pq.write_table(newer, tmp_path / "usage" / "part-2.parquet")
    rows = held(".", tmp_path)
    assert [row["n"] for row in rows] == [1.0, 2.0, 3.0, 4.0, 5.5]
    assert rows[-1] == {"account_id": None, "n": 5.5, "plan": "x"}
    with open_source(".", tmp_path) as source:
        parted = source.parted("usage")
        assert parted is not None
        first = parted.part(parted.parts[0])
        assert first.schema() == source.tables["usage"].schema()
        assert first.plan.to_pyarrow().to_pylist() == [None] * 4


def test_a_folder_of_tables_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "stripe").mkdir()
    for name in ("charges", "customers"):
        pq.write_table(ROWS, tmp_path / "stripe" / f"{name}.parquet")
    assert refused(".", tmp_path) == (
        f"The folder '{tmp_path}' holds no Parquet or CSV file (it holds 'stripe/'); correct"
        " source.url"
    )


def test_a_table_is_there_once(tmp_path: Path) -> None:
    write_parts(tmp_path / "usage", ROWS, 2)
    pq.write_table(ROWS, tmp_path / "usage.parquet")
    assert refused(".", tmp_path) == (
        f"The folder '{tmp_path}' holds table 'usage' twice, as the folder 'usage' and as"
        " 'usage.parquet'; keep one of them"
    )


def test_a_file_that_vanishes_or_changes_midway_is_no_number(tmp_path: Path) -> None:
    write_parts(tmp_path / "usage", ROWS, 2)
    file = tmp_path / "usage" / "part-0.parquet"
    parts = [file_part(each) for each in sorted(file.parent.iterdir())]
    with open_source(".", tmp_path) as source:
        parted = PartedTable(source.engine.connection, "usage", parts)
        same_size = file.read_bytes()[:-9] + b"123456789"
        file.write_bytes(same_size)
        with pytest.raises(DataError) as changed:
            parted.whole()
        file.unlink()
        with pytest.raises(DataError):
            parted.whole()
    assert str(changed.value) == (
        f"The file '{file}' was changed or taken away while its table was read; let what writes it"
        " finish and run again"
    )


def test_delta_is_read_as_of_a_version(tmp_path: Path) -> None:
    write_delta(tmp_path / "usage", ROWS)
    write_delta(tmp_path / "usage", pa.table({"n": [5], "plan": ["x"]}), "append")
    assert len(held(".", tmp_path)) == 5
    assert held(".?version.usage=0", tmp_path) == ROWS.to_pylist()
    assert refused(".?version.usage=9", tmp_path).startswith(
        "The Delta table 'usage' cannot be opened in version 9: "
    )
    assert refused(".?version.usage=new", tmp_path) == (
        "The source asks for version.usage='new', and a version is a whole number; correct"
        " source.url"
    )
    assert refused(".?version.usages=1", tmp_path) == (
        f"The source '{tmp_path}' asks for a version of table 'usages', which is no Delta or"
        " Iceberg table there; did you mean 'usage'?"
    )


def test_a_vacuum_under_the_reader_is_told(tmp_path: Path) -> None:
    write_delta(tmp_path / "usage", ROWS)
    with open_source(".", tmp_path) as source:
        file = next((tmp_path / "usage").glob("*.parquet"))
        file.unlink()
        with pytest.raises(DataError) as raised:
            source.parted("usage")
    assert str(raised.value) == (
        f"The file '{file}' is named by its table's log and is gone, as after a vacuum; run again,"
        " or ask for a version that is still there"
    )


def test_iceberg_rows_are_deleted_and_columns_renamed(tmp_path: Path) -> None:
    made = write_iceberg(tmp_path / "usage", ROWS)
    first = made.current_snapshot().snapshot_id
    made.delete("n = 2")
    with made.update_schema() as update:
        update.rename_column("account_id", "customer")
    found = held(".", tmp_path)
    assert [(row["customer"], row["n"]) for row in found] == [("a", 1), ("c", 3), ("d", 4)]
    assert len(held(f".?version.usage={first}", tmp_path)) == 4
    catalogue = f"iceberg://tests/crm?uri=sqlite:///{tmp_path}/_catalogue.db"
    assert held(catalogue, tmp_path) == found
    assert refused(catalogue.replace("/crm?", "/cmr?"), tmp_path).startswith(
        "The Iceberg table 'tests/cmr' cannot be read: "
    )
    assert refused("iceberg://me:secret@tests/crm", tmp_path) == (
        "The source 'iceberg://me:***@tests/crm' must have the form iceberg://CATALOGUE/NAMESPACE"
        " and no credentials, which come from PyIceberg's own file and environment; correct"
        " source.url"
    )


@pytest.mark.parametrize("extra", ["delta", "iceberg", "mysql"])
def test_an_extra_that_is_missing_is_named(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"delta": "deltalake", "iceberg": "pyiceberg", "mysql": "pymysql"}[extra]
    plain = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ImportError(name)
        return plain(name, *rest, **more)

    if extra == "delta":
        write_delta(tmp_path / "usage", ROWS)
    elif extra == "iceberg":
        write_iceberg(tmp_path / "usage", ROWS)
    monkeypatch.setattr(builtins, "__import__", lacking)
    told = refused("mysql://a/b" if extra == "mysql" else ".", tmp_path)
    assert told.endswith(f" with an extra: pip install 'healthscore[{extra}]'")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Serve a lake of every kind of table, to somebody with credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-value")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write_months(tmp_path / "lake" / "usage")
    write_delta(tmp_path / "lake" / "tickets", ROWS)
    pq.write_table(ROWS, tmp_path / "lake" / "accounts.parquet")
    (tmp_path / "lake" / "invoices.csv").write_text("n;text\n1;x\n", encoding="utf-8")
    with serving_bucket(tmp_path) as served:
        yield served


def test_a_bucket_is_read_like_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    with open_source(bucket.url, tmp_path) as source:
        assert sorted(source.tables) == ["accounts", "invoices", "tickets", "usage"]
    for name in ("accounts", "invoices", "tickets", "usage"):
        assert held(bucket.url, tmp_path, name) == held("lake", tmp_path, name)
    asked = [line for line in bucket.asked if "part-0.parquet" in line and "GET" in line]
    assert asked


def test_a_bucket_that_fails_half_the_time_is_read(bucket: Bucket, tmp_path: Path) -> None:
    bucket.every = 2
    assert held(bucket.url, tmp_path) == held("lake", tmp_path)


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "AccessDenied"])
def test_credentials_that_do_not_open_end_in_a_sentence(
    code: str, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.refused = code
    assert refused(bucket.url, tmp_path) == (
        f"The source '{bucket.url}' cannot be listed: the credentials that AWS (environment,"
        " ~/.aws, or the machine's role) gave are missing, expired or not allowed to; sign in anew"
        " and run again"
    )


@pytest.mark.parametrize(
    ("url", "error", "chain"),
    [
        (
            "gs://crm/lake",
            OSError("Retry policy exhausted: Could not create a OAuth2 access token"),
            "Google (GOOGLE_APPLICATION_CREDENTIALS, gcloud, or the machine's account)",
        ),
        (
            "az://crm/lake?account=hers",
            pa.ArrowException("Unknown error: Failed to get token from DefaultAzureCredential"),
            "Azure (environment, az login, or the machine's identity)",
        ),
    ],
)
def test_clouds_without_credentials_end_in_a_sentence(
    url: str, error: Exception, chain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        def get_file_info(self, _: Any) -> None:
            raise error

    monkeypatch.setattr("features.sources.lake.place.Bucket._opened", lambda _: Without())
    assert refused(url, tmp_path) == (
        f"The source '{url}' cannot be listed: the credentials that {chain} gave are missing,"
        " expired or not allowed to; sign in anew and run again"
    )


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "s3://KEY:hidden@bucket/lake",
            "The source 's3://KEY:***@bucket/lake' holds credentials, which come from AWS"
            " (environment, ~/.aws, or the machine's role) alone; take them out of source.url",
        ),
        (
            "s3://bucket/lake?secret_key=hidden",
            "The source 's3://bucket/lake?secret_key=***' has an option 'secret_key', and known"
            " are 'region', 'endpoint' and version.TABLE; credentials come from AWS (environment,"
            " ~/.aws, or the machine's role)",
        ),
        (
            "az://container/lake",
            "The source 'az://container/lake' must name its storage account, as in"
            " az://container/folder?account=NAME; correct source.url",
        ),
    ],
)
def test_addresses_of_buckets_are_checked(url: str, told: str, tmp_path: Path) -> None:
    assert refused(url, tmp_path) == told


@pytest.mark.parametrize("scheme", COMPILED_ONLY)
def test_engines_without_a_server_compile_the_panes(scheme: str, tmp_path: Path) -> None:
    engine = COMPILED_ONLY[scheme]
    columns = {"account_id": "string", "moment": "timestamp", "known_at": "timestamp"}
    rows = ibis.table({**columns, "amount": "float64", "user": "string"}, name="events")
    kept: list[Any] = []

    def keep(name: str, table: Any) -> Any:
        kept.append(table)
        return ibis.table(table.schema(), name=name)

    measures = {
        "uses": Measure("count"),
        "volume": Measure("sum", "amount"),
        "mean": Measure("mean", "amount"),
        "last": Measure("last"),
    }
    if engine.has_sets:
        measures |= {"days": Measure("days"), "users": Measure("distinct", "user")}
    observations = ibis.table(
        {"account_id": "string", "observation_date": "timestamp"}, name="observations"
    )
    kept.append(
        aggregate_windows(observations, [date(2024, 3, 1)], Events(rows), MONTHS, measures, keep)
    )
    assert all("SELECT" in compiled(scheme, table) for table in kept)
    assert label_of(engine.name) == "compiled only"
    assert refused(f"{scheme}://me:hidden@host/crm", tmp_path) == (
        f"The source '{scheme}://me:***@host/crm' names {engine.name}, which is compiled only: its"
        " statements are made in the tests and none was ever run, so no score may rest on them;"
        " unload the tables as Parquet, Delta or Iceberg and name that folder or bucket in"
        " source.url"
    )


@pytest.mark.mysql
@pytest.mark.xdist_group("mysql")
def test_mysql_values_arrive_as_they_are(mariadb: MariaServer, tmp_path: Path) -> None:
    with mariadb.connect() as admin, admin.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("CREATE DATABASE kinds")
        cursor.execute(
            "CREATE TABLE kinds.usage_events (n int, big bigint unsigned, at timestamp(6) NULL,"
            " none datetime, flag tinyint(1), money decimal(20,2), note json, raw blob, day date)"
        )
        cursor.execute("SET time_zone = '-05:00'")
        cursor.execute(
            "INSERT INTO kinds.usage_events VALUES (1, 18446744073709551615,"
            " '2024-03-10 02:30:00.000001', '0000-00-00', 1, 0.10, '{\"a\": 1}', 'x',"
            " '2024-02-29')"
        )
        write_mysql(admin, "kinds.`Größe 'x'`", ROWS)
    assert held(mariadb.url("kinds"), tmp_path, "usage_events") == [
        {
            "n": 1,
            "big": 18446744073709551615,
            "at": datetime(2024, 3, 10, 7, 30, 0, 1),
            "none": None,
            "flag": True,
            "money": Decimal("0.10"),
            "note": '{"a": 1}',
            "day": date(2024, 2, 29),
        }
    ]
    assert held(mariadb.url("kinds"), tmp_path, "Größe 'x'") == ROWS.to_pylist()


@pytest.mark.mysql
@pytest.mark.xdist_group("mysql")
def test_mysql_refuses_in_a_sentence(
    mariadb: MariaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = mariadb.url("missing")
    assert refused(shown, tmp_path).startswith(f"The source '{shown}' cannot be opened: ")
    assert refused(shown.replace("/missing", ""), tmp_path).endswith(
        "names no database, and its form is mysql://USER@HOST:PORT/DATABASE with 'socket', 'tls';"
        " correct source.url"
    )
    monkeypatch.setenv("MARIA_PASSWORD", "wrong-one")
    assert re.fullmatch(
        r"The source '.*' cannot be opened: Access denied for user 'reader'@'localhost' \(using"
        r" password: YES\); correct source.url or what the server allows",
        refused(mariadb.url("mysql"), tmp_path),
    )
    monkeypatch.delenv("MARIA_PASSWORD")
    assert refused(mariadb.url("mysql"), tmp_path) == (
        "The source names the environment variable 'MARIA_PASSWORD', which is not set; set it or"
        " correct source.url"
    )


def test_settings_errors_are_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        held("snowflake://a/b", tmp_path)
