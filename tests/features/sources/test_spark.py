"""Spark as the source: files, catalogue tables, settings, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError, HealthscoreError, SettingsError
from features.sources.opening import open_source

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]
FORM = "spark://?master=MASTER&folder=FOLDER or spark://?master=MASTER&database=DATABASE"


@pytest.fixture(scope="module")
def catalogue(spark: Any) -> Iterator[str]:
    spark.sql("CREATE DATABASE crm")
    spark.sql("CREATE TABLE crm.accounts (account_id BIGINT, created_at TIMESTAMP) USING parquet")
    # The session's own zone is New York; the same instant is read in UTC.
    spark.sql("INSERT INTO crm.accounts VALUES (1, TIMESTAMP '2024-03-10 01:30:00')")
    yield "crm"
    spark.sql("DROP DATABASE crm CASCADE")


def failure(url: str, relative_to: Path = Path()) -> HealthscoreError:
    with pytest.raises(HealthscoreError) as caught, open_source(url, relative_to):
        pass
    assert "\n" not in str(caught.value)
    return caught.value


def read(url: str, relative_to: Path, table: str) -> pd.DataFrame:
    with open_source(url, relative_to) as source:
        frame: pd.DataFrame = source.table(table, "[tables.x]").execute()
        return frame


def test_parquet_and_csv_hold_the_same_table(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "it's ü"
    folder.mkdir()
    frame = pd.DataFrame({"id": [1, 2], "at": pd.to_datetime(["2024-03-10 02:30:00"] * 2)})
    pq.write_table(pa.Table.from_pandas(frame), folder / "one.parquet")
    (folder / "two.csv").write_text(
        'id,Id,zip,share,text,none\n1,x,007,0.5,"a ""b""\nc",\n2,y,1,1e+3,,\n', encoding="utf-8"
    )
    url = "spark://?folder=it's %C3%BC"
    assert read(url, tmp_path, "one")["at"].tolist() == [datetime(2024, 3, 10, 2, 30)] * 2
    two = read(url, tmp_path, "TWO").astype(object)
    two = two.where(two.notna(), None)
    assert two.to_dict("list") == {
        "id": [1, 2],
        "Id_1": ["x", "y"],
        # Leading zeros are part of an id.
        "zip": ["007", "1"],
        "share": [0.5, 1000.0],
        "text": ['a "b"\nc', None],
        "none": [None, None],
    }


def test_a_folder_named_with_wildcards_opens_itself(spark: Any, tmp_path: Path) -> None:
    for name, text in (("data[12] {a} *", "right"), ("data1 a x", "wrong")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.csv").write_text(f"id\n{text}\n")
        pq.write_table(pa.table({"id": [text]}), tmp_path / name / "two.parquet")
    for table in ("one", "two"):
        frame = read("spark://?folder=data[12] {a} *", tmp_path, table)
        assert frame["id"].tolist() == ["right"]


def test_catalogue_tables_are_found(catalogue: str, tmp_path: Path) -> None:
    frame = read(f"spark://?database={catalogue}", tmp_path, "Accounts")
    assert frame.to_numpy().tolist() == [[1, pd.Timestamp("2024-03-10 06:30:00")]]
    message = str(failure("spark://?database=cmr"))
    assert message.startswith("The database 'cmr' of 'spark://?database=cmr' cannot be listed: ")
    assert message.endswith("; correct database= in source.url")


def test_settings_and_views_of_a_running_session_stay_as_they_are(
    spark: Any, catalogue: str, tmp_path: Path
) -> None:
    before = dict(spark.conf.getAll)
    with open_source(f"spark://?database={catalogue}", tmp_path) as source:
        kept = source.engine.keep("kept", source.tables["accounts"])
        assert kept.count().execute() == 1
        assert spark.catalog.listTables() == []
    assert dict(spark.conf.getAll) == before
    assert spark.sql("SELECT 1").collect()[0][0] == 1


def test_a_step_is_computed_once(spark: Any, catalogue: str, tmp_path: Path) -> None:
    with open_source(f"spark://?database={catalogue}", tmp_path) as source:
        kept = source.engine.keep("kept", source.tables["accounts"])
        spark.sql("INSERT INTO crm.accounts VALUES (2, NULL)")
        assert kept.count().execute() == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("spark://?master=yarn", f"must name one of folder and database, as in {FORM}"),
        ("spark://?folder=a&database=b", f"must name one of folder and database, as in {FORM}"),
        ("spark://host:7077?folder=a", f"must name one of folder and database, as in {FORM}"),
        (
            "spark://?folder=a&mster=b",
            "has an option 'mster', and known are 'master', 'folder', 'database' and Spark's own"
            " settings, spark.…; did you mean 'master'?",
        ),
    ],
)
def test_addresses_of_another_form_are_refused(url: str, message: str) -> None:
    error = failure(url)
    assert isinstance(error, SettingsError)
    assert str(error) == f"The source '{url}' {message}; correct source.url"


def test_folders_and_files_that_cannot_be_read_are_named(spark: Any, tmp_path: Path) -> None:
    assert str(failure("spark://?folder=gone", tmp_path)) == (
        f"The folder '{tmp_path}/gone' does not exist; correct folder= in source.url"
    )
    (tmp_path / "accounts.parquet").write_bytes(b"PAR1 no parquet")
    with (
        open_source("spark://?folder=.", tmp_path) as source,
        pytest.raises(DataError) as caught,
    ):
        source.table("accounts", "[tables.accounts]")
    assert str(caught.value).startswith(f"The file '{tmp_path}/accounts.parquet' cannot be read: ")


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    error = failure("spark://?folder=.&spark.secret=s3cr3t", tmp_path)
    assert isinstance(error, SettingsError)
    assert str(error) == (
        "The source 'spark://?folder=.&spark.secret=***' needs PySpark, which is not installed;"
        " run: pip install 'healthscore[spark]'"
    )
