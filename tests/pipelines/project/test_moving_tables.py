"""Tables that are changed, or taken away, while a command reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.tables import company as companies
from tests.features.lakes import serving_bucket, write_delta, write_parts

Change = Callable[[Path], None]


def vanishes(file: Path) -> None:
    file.unlink()


def is_replaced(file: Path) -> None:
    """Put another file of the same size and time in its place."""
    before, content = file.stat(), file.read_bytes()
    # Some bytes of a page, and none of either end.
    middle = len(content) // 2
    file.write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something happen when the tables were listed and the first was read."""

    def happens(change: Callable[[], None]) -> None:
        inspect, done = companies.inspect_table, []

        def then(*given: Any) -> Any:
            found = inspect(*given)
            if not done:
                done.append(1)
                change()
            return found

        monkeypatch.setattr(companies, "inspect_table", then)

    return happens


def in_files(table: pa.Table, folder: Path) -> None:
    write_parts(folder, table, 3)


def in_delta(table: pa.Table, folder: Path) -> None:
    write_delta(folder, table)


CHANGED = (
    "The file '{file}' was changed or taken away while its table was read; let what writes it"
    " finish and run again"
)
GONE = (
    "Table 'usage_events' of the source 'data' cannot be read: IO Error: No files found that match"
    ' the pattern "{file}"; repair the table or the connection and run again'
)


@pytest.mark.parametrize(
    ("command", "write", "change", "told"),
    [
        ("check", None, vanishes, GONE),
        ("score", None, is_replaced, CHANGED),
        ("check", in_files, vanishes, CHANGED),
        ("score", in_files, is_replaced, CHANGED),
        ("score", in_delta, vanishes, GONE),
    ],
)
def test_a_file_that_changes_under_a_command_ends_it(
    command: str, write: Any, change: Change, told: str, project: Any, run: Any, meanwhile: Any
) -> None:
    place = project.data / "usage_events"
    file = place.with_suffix(".parquet")
    if write is not None:
        write(pq.read_table(file), place)
        file.unlink()
        file = sorted(place.rglob("*.parquet"))[-1]
    # What was told of these tables before would be told again.
    shutil.rmtree(project.folder / "scores.duckdb.panes")
    meanwhile(lambda: change(file))
    ran = run(command, "-c", project.config)
    assert (ran.code, ran.sentence) == (3, told.format(file=file))
    assert not project.store.exists()


def test_a_bucket_without_credentials_ends_it(
    project: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hidden-value")
    with serving_bucket(project.folder) as bucket:
        bucket.refused = "ExpiredToken"
        text = project.config.read_text("utf-8").replace('url = "data"', f'url = "{bucket.url}"')
        project.config.write_text(text, encoding="utf-8")
        ran = run("score", "-c", project.config)
    assert ran.code == 3
    assert ran.sentence.endswith(
        "gave are missing, expired or not allowed to; sign in anew and run again"
    )
    assert "hidden-value" not in ran.err
    assert not project.store.exists()
