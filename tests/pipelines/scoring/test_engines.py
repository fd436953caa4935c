"""``score`` and ``explain`` wherever the tables lie: the answers are those of DuckDB on files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.features.lakes import (
    running_mariadb,
    serving_bucket,
    write_delta,
    write_iceberg,
    write_mysql,
)
from tests.features.servers import running_postgres, running_spark, write_postgres

ACCOUNTS, ACCOUNT = 80, "A-00042"
ON_SPARK = [pytest.mark.slow, pytest.mark.spark, pytest.mark.xdist_group("spark")]
PLACES = (
    *("delta", "iceberg", "partitioned"),
    # Between requests that failed it waits.
    pytest.param("bucket", marks=pytest.mark.slow),
    pytest.param("mysql", marks=[pytest.mark.mysql, pytest.mark.xdist_group("mysql")]),
    pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.xdist_group("postgres")]),
    pytest.param("spark", marks=ON_SPARK),
    pytest.param("catalogue", marks=ON_SPARK),
)
# Scores of Spark are compared in test_spark; what is read of a bucket are the files of the others.
SCORED_ELSEWHERE = {"spark", "catalogue", "bucket"}
Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def tables(taught: Any) -> Tables:
    """Some accounts of the company that the model was taught of, words that attack among them."""
    read = {file.stem: pq.read_table(file) for file in sorted(taught.data.glob("*.parquet"))}
    few = pa.array(sorted(read["accounts"]["account_id"].to_pylist())[:ACCOUNTS])
    return {
        name: table.filter(pc.is_in(table["account_id"], value_set=few))
        for name, table in read.items()
    }


def project_at(url: str, taught: Any, folder: Path) -> Any:
    """Copy the company's project, and let its tables lie somewhere else."""
    shutil.copytree(taught.folder, folder, ignore=shutil.ignore_patterns("data", "*.panes"))
    config = folder / taught.config.name
    text = config.read_text("utf-8").replace('url = "data"', f"url = {json.dumps(url)}")
    config.write_text(text, encoding="utf-8")
    return replace(taught, folder=folder, config=config)


def answers(project: Any, run: Any) -> list[Any]:
    """Explain an account, and score all."""
    explained = run("explain", ACCOUNT, "-c", project.config, "--json").answer
    issued = run("score", "-c", project.config, "--json").answer
    # A seal holds the moment of its issue, and only tables in several files are read anew in parts.
    for name in ("store", "seal", "read"):
        assert name in issued
        del issued[name]
    columns = "account_id, * exclude (account_id, issued_at)"
    scores = project.sql(f"select {columns} from scores order by score, account_id")
    return [explained, issued, scores]


@pytest.fixture(scope="module")
def expected(tables: Tables, taught: Any, run: Any, tmp_path_factory: Any) -> list[Any]:
    """What DuckDB answers of one Parquet file a table."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "lake").mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / "lake" / f"{name}.parquet")
    return answers(project_at(str(folder / "lake"), taught, folder / "project"), run)


def in_years(folder: Path, table: pa.Table) -> None:
    """Write a table as a folder for each year of its first time."""
    time = next(field.name for field in table.schema if pa.types.is_timestamp(field.type))
    years = pc.year(table[time]).fill_null(2024)
    for year in sorted(set(years.to_pylist())):
        place = folder / f"year={year}"
        place.mkdir(parents=True)
        pq.write_table(table.filter(pc.equal(years, year)), place / "part-0.parquet")


def in_two_versions(folder: Path, table: pa.Table) -> None:
    """Write a Delta table whose second half came later."""
    half = len(table) // 2
    write_delta(folder, table.slice(0, half))
    write_delta(folder, table.slice(half), "append")


WRITERS: dict[str, Callable[[Path, pa.Table], Any]] = {
    "delta": in_two_versions,
    "iceberg": write_iceberg,
    "partitioned": in_years,
}


@contextmanager
def in_a_folder(place: str, tables: Tables, folder: Path, patch: Any) -> Iterator[str]:
    for name, table in tables.items():
        WRITERS[place](folder / name, table)
    catalogue = f"iceberg://tests/crm?uri=sqlite:///{folder}/_catalogue.db"
    yield catalogue if place == "iceberg" else str(folder)


@contextmanager
def in_a_bucket(place: str, tables: Tables, folder: Path, patch: Any) -> Iterator[str]:
    """Every kind of table in one bucket, which fails half of all requests.

    Iceberg's metadata names its rows where they were written, beside the bucket.
    """
    folder.mkdir()
    writers = [in_two_versions, write_iceberg, in_years]
    for number, (name, table) in enumerate(tables.items()):
        if number % 4 == 3:
            pq.write_table(table, folder / f"{name}.parquet")
        else:
            writers[number % 4](folder / name, table)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(variable, "hidden-value")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with serving_bucket(folder.parent) as bucket:
        bucket.every = 2
        yield bucket.url


@contextmanager
def on_mysql(place: str, tables: Tables, folder: Path, patch: Any) -> Iterator[str]:
    with running_mariadb() as server, server.connect() as admin:
        patch.setenv("MARIA_PASSWORD", server.PASSWORD)
        with admin.cursor() as cursor:
            cursor.execute("CREATE DATABASE crm")
        for name, table in tables.items():
            write_mysql(admin, f"crm.{name}", table)
        yield server.url("crm")


@contextmanager
def on_postgres(place: str, tables: Tables, folder: Path, patch: Any) -> Iterator[str]:
    with running_postgres() as server, server.connect() as admin:
        for name, table in tables.items():
            write_postgres(admin, f'"{name}"', table)
        yield server.url()


@contextmanager
def on_spark(place: str, tables: Tables, folder: Path, patch: Any) -> Iterator[str]:
    folder.mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    with running_spark() as session:
        if place == "spark":
            yield f"spark://?folder={folder}"
            return
        session.sql("CREATE DATABASE crm")
        for name in tables:
            session.read.parquet(f"{folder}/{name}.parquet").write.saveAsTable(f"crm.{name}")
        yield "spark://?database=crm"


AT = {
    **dict.fromkeys(WRITERS, in_a_folder),
    "bucket": in_a_bucket,
    "mysql": on_mysql,
    "postgres": on_postgres,
    **dict.fromkeys(("spark", "catalogue"), on_spark),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_account_is_explained_alike_wherever_its_tables_lie(
    place: str,
    tables: Tables,
    expected: Any,
    taught: Any,
    run: Any,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    with AT[place](place, tables, tmp_path / "lake", monkeypatch) as url:
        project = project_at(url, taught, tmp_path / "project")
        if place in SCORED_ELSEWHERE:
            found = [run("explain", ACCOUNT, "-c", project.config, "--json").answer]
        else:
            found = answers(project, run)
    for one, other in zip(found, expected, strict=False):
        same(one, other)


def same(one: Any, other: Any) -> None:
    """Compare answers: numbers to 1e-9, all else to the letter."""
    if isinstance(other, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(other, (list, tuple)):
        assert len(one) == len(other)
        for inside in zip(one, other, strict=True):
            same(*inside)
    else:
        assert one == (pytest.approx(other, abs=1e-9) if isinstance(other, float) else other)
