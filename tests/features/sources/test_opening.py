"""Where tables live: folders, DuckDB files, and every way in which they can be broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.errors import DataError
from features.sources.opening import open_source
from features.tables.company import load_company
from features.tables.mapping.mapping import TablesSettings

Folder = Callable[[dict[str, str]], Path]
HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
MINIMAL = {"accounts": "account_id,created_at\nA,2023-01-01\n"}


def failure(url: str | Path, relative_to: Path = Path()) -> str:
    with pytest.raises(DataError) as caught, open_source(str(url), relative_to) as source:
        list(source.tables.values())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parquet_csv_and_duckdb_hold_the_same_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"account_id": [1, 2], "created_at": pd.to_datetime(["2023-01-01"] * 2)})
    for kind in ("parquet", "csv"):
        (tmp_path / kind).mkdir()
    frame.to_parquet(tmp_path / "parquet" / "accounts.parquet")
    frame.to_csv(tmp_path / "csv" / "accounts.CSV", index=False)
    with duckdb.connect(str(tmp_path / "it's.duckdb")) as connection:
        connection.execute("CREATE TABLE accounts AS SELECT * FROM frame")
    for url in ("parquet", "csv", "it's.duckdb", f"duckdb://{tmp_path}/it's.duckdb"):
        with open_source(url, tmp_path) as source:
            found = source.table("accounts", "[tables.accounts]").order_by("account_id").execute()
            assert found.account_id.tolist() == [1, 2]
            assert found.created_at.astype("datetime64[us]").tolist() == frame.created_at.tolist()


def test_a_folder_named_with_wildcards_opens_itself_and_not_its_neighbour(tmp_path: Path) -> None:
    for name, text in (("data[12]", "right"), ("data1", "wrong"), ("da*", "star")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "accounts.csv").write_text(f"account_id\n{text}\n")
    for name, text in (("data[12]", "right"), ("da*", "star")):
        with open_source(name, tmp_path) as source:
            assert source.tables["accounts"].execute().account_id.tolist() == [text]


def test_types_come_from_the_whole_csv(folder: Folder) -> None:
    rows = "".join(f"{number},{number}\n" for number in range(30_000))
    path = folder({"accounts": f"account_id,seats\n{rows}A17,many\n"})
    with open_source(str(path), path) as source:
        table = source.tables["accounts"]
        assert table.count().execute() == 30_001
        assert {str(kind) for kind in table.schema().types} == {"string"}


@pytest.mark.parametrize(
    "ids", [["007", "7"], ["12345678901234567890123", "12345678901234567890124"]]
)
def test_csv_keeps_ids_apart_and_as_they_are_written(ids: list[str], folder: Folder) -> None:
    path = folder(
        {"accounts": "account_id,created_at\n" + "".join(f"{i},2023-01-01\n" for i in ids)}
    )
    with open_source(str(path), path) as source:
        found = source.tables["accounts"].account_id.cast("string").execute()
    assert found.tolist() == ids


def test_other_files_and_hidden_ones_are_left_alone(folder: Folder) -> None:
    path = folder({**MINIMAL, ".hidden": "x\n1\n", "_draft": "x\n1\n"})
    (path / "notes.txt").write_text("not a table")
    (path / "folder.csv").mkdir()
    with open_source(str(path), path) as source:
        assert list(source.tables) == ["accounts"]


def test_a_table_twice_in_a_folder_is_refused(folder: Folder) -> None:
    path = folder(MINIMAL)
    pd.DataFrame({"account_id": ["A"]}).to_parquet(path / "accounts.parquet")
    assert failure(path) == (
        f"The folder '{path}' holds table 'accounts' twice, as 'accounts.csv' and as"
        " 'accounts.parquet'; keep one of them"
    )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert failure(tmp_path) == (
        f"The folder '{tmp_path}' holds no Parquet or CSV file; correct source.url"
    )


@pytest.mark.parametrize("name", ["nowhere", "accounts.xlsx", "gone.duckdb", "oracle://a/b"])
def test_a_source_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    assert failure(name, tmp_path) == (
        f"The source '{name}' is neither a folder, a workbook or archive nor a DuckDB file"
        f" (.db, .ddb, .duckdb) under '{tmp_path}'; correct source.url"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("accounts.parquet", b"PAR1 this is no parquet file"),
        ("accounts.parquet", b""),
        ("accounts.csv.gz", b"\x1f\x8b this was gzip once"),
    ],
)
def test_a_corrupt_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    message = failure(tmp_path)
    assert message.startswith(f"The file '{tmp_path / name}' cannot be read")
    assert message.endswith("; repair it or take it out of the folder")


def test_a_parquet_file_with_broken_pages_is_named(tmp_path: Path) -> None:
    created = pd.Series(pd.date_range("2020-01-01", periods=5000, freq="h"))
    frame = pd.DataFrame({"account_id": created.astype(str), "created_at": created})
    path = tmp_path / "accounts.parquet"
    frame.to_parquet(path, compression="zstd")
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\x55" * 20_000 + content[20_100:])
    frame.rename(columns={"created_at": "churned_at"}).to_parquet(tmp_path / "churn_events.parquet")
    settings = TablesSettings.model_validate({"accounts": {}, "churn_events": {}})
    with (
        open_source(str(tmp_path), tmp_path) as source,
        pytest.raises(DataError, match=r"^Table 'accounts' of the source .* cannot be read: .+"),
    ):
        load_company(source, settings)


def test_an_empty_csv_lacks_its_columns(folder: Folder) -> None:
    path = folder({"accounts": "", "churn_events": "account_id,churned_at\n"})
    settings = TablesSettings.model_validate({"accounts": {}, "churn_events": {}})
    with (
        open_source(str(path), path) as source,
        pytest.raises(DataError, match=r"^Table 'accounts' has no column 'account_id', needed as"),
    ):
        load_company(source, settings)


def test_a_file_that_is_no_duckdb_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "company.duckdb"
    path.write_bytes(b"not a database" * 500)
    message = failure(path)
    assert message.startswith(f"The DuckDB file '{path}' cannot be opened: ")
    assert message.endswith("; close the program that holds it, or correct source.url")


def test_a_duckdb_file_without_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "company.duckdb"
    duckdb.connect(str(path)).close()
    assert failure(path) == f"The DuckDB file '{path}' holds no table; correct source.url"


def test_a_view_of_a_duckdb_file_reads_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    view = f"SELECT 1 AS account_id, content FROM read_text('{tmp_path}/secret.txt')"
    with duckdb.connect(str(tmp_path / "h.duckdb")) as connection:
        connection.execute(f"CREATE VIEW accounts AS {view}")
    assert failure("h.duckdb", tmp_path) == (
        f"The view 'accounts' of the DuckDB file '{tmp_path}/h.duckdb' reads other files, and a"
        " source may read none beside itself; make it a table there, or take it out"
    )
    with duckdb.connect(str(tmp_path / "h.duckdb")) as connection:
        connection.execute("DROP VIEW accounts")
        connection.execute("CREATE TABLE accounts AS SELECT range AS n FROM range(9)")
        connection.execute("CREATE VIEW odd AS SELECT n FROM accounts WHERE n % 2 = 1")
    with open_source("h.duckdb", tmp_path) as source:
        assert source.tables["odd"].count().execute() == 4
        with pytest.raises(duckdb.PermissionException):
            source.engine.connection.con.execute(view).fetchall()


def test_a_duckdb_file_held_by_another_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "company.duckdb"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=pipe, stdout=pipe, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = failure(path)
        holder.communicate("done\n")
    assert message.startswith(f"The DuckDB file '{path}' cannot be opened: ")
    assert "lock" in message
    assert message.endswith("; close the program that holds it, or correct source.url")


def test_the_users_file_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "company.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE accounts AS SELECT 'A' AS account_id")
    before = path.read_bytes()
    with open_source(str(path), tmp_path) as source:
        source.engine.connection.create_table("kept", source.tables["accounts"], temp=True)
        with pytest.raises(duckdb.Error, match="read-only"):
            source.engine.connection.raw_sql("DELETE FROM company.main.accounts")
    assert path.read_bytes() == before


def test_a_table_is_found_by_name_whatever_its_case(folder: Folder) -> None:
    path = folder({"ACCOUNTS": "account_id\nA\n", "Plan": "x\n1\n", "PLAN": "x\n1\n"})
    with open_source(str(path), path) as source:
        assert source.table("accounts", "[tables.accounts]") is source.tables["ACCOUNTS"]
        assert source.table("PLAN", "[tables.accounts]") is source.tables["PLAN"]
        for name, hint in (("plan", "Plan"), ("acounts", "ACCOUNTS")):
            with pytest.raises(DataError) as caught:
                source.table(name, "[tables.accounts]")
            assert str(caught.value) == (
                f"Table '{name}', mapped to [tables.accounts], is not in the source '{path}';"
                f" did you mean '{hint}'?"
            )
        with pytest.raises(DataError, match=r"; it holds 'ACCOUNTS', 'PLAN', 'Plan'$"):
            source.table("zzz", "[tables.accounts]")


def test_the_engine_draws_no_bar_of_its_own_amid_the_answers() -> None:
    """Code that is no file counts as a notebook, where DuckDB draws one by itself."""
    code = """
from features.sources.duckdb import duckdb_engine
setting = "select current_setting('enable_progress_bar')"
print(duckdb_engine().connection.raw_sql(setting).fetchone())
"""
    of_here = {"cwd": Path(__file__).parents[3], "text": True, "check": True}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, **of_here)
    assert done.stdout == "(False,)\n"
