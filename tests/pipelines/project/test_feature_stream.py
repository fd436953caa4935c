"""Feature tables on disk: what is read from them, and what is refused before anything is issued."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from features.errors import DataError
from pipelines.project.feature_stream import feature_stream

DAY = date(2025, 7, 1)


def written(folder: Path, **columns: list[object]) -> Path:
    table = {"account_id": ["a", "b", "c"], "observation_date": [DAY] * 3} | columns
    parquet.write_table(pa.table(table), folder / "features.parquet")
    return folder / "features.parquet"


def read(file: Path, as_of: date | None = None) -> tuple[date, list[str]]:
    with feature_stream(None, None, as_of, file) as stream:  # type: ignore[arg-type]
        count, batches = stream.read()
        found = [account for batch in batches for account in batch["account_id"].to_pylist()]
    assert count == len(found)
    return stream.as_of, found


@pytest.mark.parametrize("as_of", [None, DAY])
def test_the_file_says_its_date(tmp_path: Path, as_of: date | None) -> None:
    assert read(written(tmp_path, usage=[1.0, None, 2.0]), as_of) == (DAY, ["a", "b", "c"])


def test_moments_are_read_as_days(tmp_path: Path) -> None:
    moment = datetime(2025, 7, 1)
    assert read(written(tmp_path, observation_date=[moment] * 3))[0] == DAY


def test_another_date_than_asked_for_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    with pytest.raises(DataError) as refused:
        read(file, date(2025, 7, 2))
    assert str(refused.value) == (
        f"The feature table '{file}' is of 2025-07-01, not of 2025-07-02; leave --as-of out or"
        " write the table of that date with 'healthscore features'"
    )


def test_several_dates_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, observation_date=[DAY, DAY, date(2025, 6, 1)])
    with pytest.raises(DataError) as refused:
        read(file)
    assert str(refused.value) == (
        f"The feature table '{file}' must be of one date, and holds '2025-06-01' beside 2025-07-01;"
        " write one table for each date"
    )


def test_a_date_in_the_future_is_refused(tmp_path: Path) -> None:
    day = datetime.now(tz=UTC).date() + timedelta(days=3)
    file = written(tmp_path, observation_date=[day] * 3)
    with pytest.raises(DataError, match=rf"is of {day}, which lies in the future of .*: nothing"):
        read(file)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"observation_date": [None, None, None]},
            "holds no row with an observation_date; write one with 'healthscore features'",
        ),
        (
            {"observation_date": ["soon", "later", "never"]},
            "must hold dates, found 'soon'; write one with 'healthscore features'",
        ),
    ],
)
def test_dates_that_are_none_are_refused(tmp_path: Path, columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(written(tmp_path, **columns))


def test_what_is_no_feature_table_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"account_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="and 'observation_date' is absent; write one with"):
        read(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("account_id,observation_date\n")
    with pytest.raises(DataError, match=r"cannot be read as Parquet: .*; write one with 'healthsc"):
        read(tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"nothing\.parquet' cannot be read as Parquet: .*No such"):
        read(tmp_path / "nothing.parquet")
