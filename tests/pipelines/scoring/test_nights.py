"""What a night answers where what it keeps cannot be, is of another version or is replaced."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import duckdb
import pytest

from features.sources.lake.parts import ends_of

NIGHT = ("score", "--json", "--force", "-c")


@pytest.fixture
def in_files(project):
    """A copy whose usage events lie in two files."""
    tables = tomllib.loads(project.config.read_text("utf-8"))["source"]["url"]
    whole = project.folder / tables / "usage_events.parquet"
    folder = whole.with_suffix("")
    folder.mkdir()
    with duckdb.connect() as engine:
        for number, side in enumerate(("<", ">=")):
            engine.execute(
                f"copy (from '{whole}' where occurred_at {side} timestamp '2025-03-01')"
                f" to '{folder}/part-{number}.parquet'"
            )
    whole.unlink()
    return project, folder


def scores_of(project) -> list[tuple[object, ...]]:
    return project.sql(
        "select account_id, round(score, 9), round(probability, 9) from score_rows join runs"
        " using (run_id) where revision = (select max(revision) from runs) order by all"
    )


def test_a_night_goes_on_whatever_became_of_what_it_kept(
    in_files, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with 0, says in one sentence what it read, and scores as a full night does."""
    project, folder = in_files
    kept = project.folder / "scores.duckdb.panes"
    full = run(*NIGHT, project.config, "--full")
    assert full.code == 0
    assert full.answer["read"] == ["usage_events: all 2 files read"]
    expected = scores_of(project)

    kept_so_far = iter(range(1_000))

    def on_a_full_disk(file: Path) -> str:
        if file.suffix == ".part" and next(kept_so_far) == 5:
            raise OSError(28, "No space left on device")
        return ends_of(file)

    monkeypatch.setattr("features.sources.lake.kept.ends_of", on_a_full_disk)
    filled = run(*NIGHT, project.config)
    monkeypatch.undo()
    assert filled.code == 0
    assert filled.answer["read"][1:] == [
        f"Nothing is kept for the next night, and this one reads everything, as '{kept}' cannot be"
        " written: [Errno 28] No space left on device"
    ]
    assert scores_of(project) == expected

    monkeypatch.setattr("features.sources.lake.kept.FORM", "of a later version")
    assert run(*NIGHT, project.config).code == 0
    monkeypatch.undo()
    later = {file: file.read_bytes() for file in kept.glob("*.parquet")}
    for told in kept.glob("*.checks.json"):
        told.unlink()
    after_later = run(*NIGHT, project.config)
    assert after_later.code == 0
    assert after_later.answer["read"] == ["usage_events: 0 of 2 files as before, 2 read anew"]
    assert scores_of(project) == expected
    assert {file: file.read_bytes() for file in later} == later

    file = folder / "part-1.parquet"
    before = file.stat()
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    replaced = run(*NIGHT, project.config)
    assert replaced.code == 0
    assert replaced.answer["read"] == ["usage_events: 1 of 2 files as before, 1 read anew"]
    assert scores_of(project) == expected
