"""Files of a bucket that go, or are replaced, between its listing and their reading."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from features.sources.opening import open_source
from tests.features.lakes import Bucket
from tests.features.sources.test_lakes import ROWS, bucket, refused

__all__ = ["bucket"]
MONTH = "month=2024-01-01/shard=7/part-0.parquet"


def test_a_partition_that_vanishes_after_the_listing_is_told(
    bucket: Bucket, tmp_path: Path
) -> None:
    with open_source(bucket.url, tmp_path) as source:
        (tmp_path / "lake" / "usage" / MONTH).unlink()
        with pytest.raises(DataError) as raised:
            source.parted("usage")
    assert str(raised.value) == (
        f"The source '{bucket.url}' cannot be read: 'usage/{MONTH}': it is not there, or was taken"
        " away while its table was read; correct source.url or run again"
    )


def test_a_vacuum_in_a_bucket_is_told(bucket: Bucket, tmp_path: Path) -> None:
    file = next((tmp_path / "lake" / "tickets").glob("*.parquet"))
    file.unlink()
    assert refused(bucket.url, tmp_path, "tickets") == (
        f"The source '{bucket.url}' cannot be read: 'tickets/{file.name}': it is not there, or was"
        " taken away while its table was read; correct source.url or run again"
    )


def test_a_file_of_the_same_size_and_second_is_another(bucket: Bucket, tmp_path: Path) -> None:
    """The server of the tests stamps everything alike."""

    def identities() -> list[str]:
        with open_source(bucket.url, tmp_path) as source:
            parted = source.parted("usage")
            assert parted is not None
            return [part.identity for part in parted.parts]

    before, file = identities(), tmp_path / "lake" / "usage" / MONTH
    assert identities() == before
    size = file.stat().st_size
    pq.write_table(ROWS.slice(0, 2).set_column(1, "n", pa.array([7, 8])), file)
    assert file.stat().st_size == size
    assert [one == other for one, other in zip(before, identities(), strict=True)] == [False, True]
