"""Nights that read only what is new give what a full build gives, in whatever order rows arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.build import build_features
from features.builders.settings import OwnSignal, SignalsSettings
from features.outcomes.labels import OutcomeSettings
from features.sources.lake.kept import KeptParts
from features.sources.opening import open_source, remember
from features.tables.company import Company, load_company
from features.tables.mapping.mapping import TablesSettings
from tests.costly import costly
from tests.features.worlds import LAYOUT

OUTCOME = OutcomeSettings(grace_days=7)
NIGHTS = (date(2024, 3, 1), date(2024, 4, 1))
KNOWN_UNTIL = date(2024, 7, 1)
EVENTS = ("usage_events", "tickets", "invoices", "referrals", "trainings", "surveys", "snapshots")


def signals_of(columns: dict[str, Any]) -> SignalsSettings:
    own = {"own_number": OwnSignal(group="usage"), "own_text": OwnSignal(group="profile")}
    # A group takes long to plan, however few rows there are.
    off = ("relationship", "profile")
    if not set(columns) & set(EVENTS[1:]):
        off = (*off, "adoption")
    return SignalsSettings(
        key_features=("a",), own=own if "snapshots" in columns else {}, groups_off=off
    )


@contextmanager
def opened(
    folder: Path, columns: dict[str, Any], kept: Path | None, *, is_full: bool = False
) -> Iterator[tuple[Company, KeptParts | None]]:
    mapping: dict[str, Any] = {name: {} for name in columns}
    mapping["accounts"] = {"attributes": ["industry", "employees"]}
    for name in set(columns) & {"tickets", "invoices", "referrals", "trainings", "surveys"}:
        mapping[name] = {"copies": "keep"}
    with open_source(".", folder) as source:
        parts = remember(source, columns, kept, is_full=is_full) if kept else None
        tables = TablesSettings.model_validate(mapping)
        yield load_company(source, tables, known_until=KNOWN_UNTIL), parts


def night(
    folder: Path,
    columns: dict[str, Any],
    day: date,
    kept: Path | None,
    *,
    is_full: bool = False,
    is_checked: bool = False,
    groups_off: tuple[str, ...] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any], list[str]]:
    with opened(folder, columns, kept, is_full=is_full) as (company, parts):
        # A check alone is soon done, and keeps as much.
        frame = pd.DataFrame()
        if not is_checked:
            signals = signals_of(columns)
            if groups_off is not None:
                signals = signals.model_copy(update={"groups_off": groups_off})
            frame = build_features(company, [day], OUTCOME, signals, labelled=False)
        quality = {name: each.to_dict() for name, each in company.quality.items()}
        return frame, quality, parts.told() if parts is not None else []


def assert_same(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> None:
    pd.testing.assert_frame_equal(one[0], other[0], rtol=1e-9, atol=1e-9)
    assert one[1] == other[1]


@pytest.mark.slow
@costly(2)
@given(st.data())
def test_rows_may_arrive_in_any_order(worlds: st.SearchStrategy[Any], data: st.DataObject) -> None:
    world = data.draw(worlds)
    chance = Random(data.draw(st.integers(0, 2**32)))
    # Planning every group's signals takes long: usage and one more table are enough at a time.
    others = [name for name in EVENTS[1:] if name in world.columns]
    left_out = {*EVENTS[1:], "ratings"} - {data.draw(st.sampled_from(others))}
    columns = {name: held for name, held in world.columns.items() if name not in left_out}
    with TemporaryDirectory() as made:
        folder, kept = Path(made) / "data", Path(made) / "panes"
        folder.mkdir()
        waiting: dict[str, list[pa.Table]] = {}
        for name, table in world.arrow().items():
            if name not in columns:
                continue
            if name not in EVENTS:
                pq.write_table(table, folder / f"{name}.parquet")
                continue
            order = chance.sample(range(len(table)), len(table))
            shuffled = table.take(pa.array(order, pa.int64()))
            cuts = sorted(chance.randint(0, len(table)) for _ in range(3))
            edges = [0, *cuts, len(table)]
            waiting[name] = [shuffled.slice(low, high - low) for low, high in pairwise(edges)]
            (folder / name).mkdir()
        for number, day in enumerate(NIGHTS):
            for name, parts in waiting.items():
                # Two files first, then one a night; now and then an old one is corrected.
                for part in range(2 if number == 0 else 1):
                    place = folder / name / f"part-{number}{part}.parquet"
                    pq.write_table(parts.pop(), place)
                if number and chance.random() < 0.5:
                    old = folder / name / "part-00.parquet"
                    pq.write_table(pq.read_table(old).slice(1), old)
            assert_same(night(folder, columns, day, kept), night(folder, columns, day, None))


@pytest.mark.slow
def test_every_table_may_arrive_in_any_order(full_world: Any, tmp_path: Path) -> None:
    """All tables lie in files of their own, old ones are corrected, and all groups are built."""
    chance, columns = Random(11), full_world.columns
    folder, kept = tmp_path / "data", tmp_path / "panes"
    waiting: dict[str, list[pa.Table]] = {}
    for name, table in full_world.arrow().items():
        order = chance.sample(range(len(table)), len(table))
        shuffled = table.take(pa.array(order, pa.int64()))
        third = len(table) // 3
        waiting[name] = [shuffled.slice(number * third, third) for number in range(3)]
        (folder / name).mkdir(parents=True)
    assert set(waiting) == set(LAYOUT), "every table of the contract that has a date"
    found = []
    for number, day in enumerate(NIGHTS):
        for name, parts in waiting.items():
            for part in range(2 if number == 0 else 1):
                pq.write_table(parts.pop(), folder / name / f"part-{number}{part}.parquet")
            old = folder / name / "part-00.parquet"
            if number and name not in ("accounts", "subscriptions"):
                # The first row was written by mistake, and another one twice.
                rows = pq.read_table(old)
                pq.write_table(pa.concat_tables([rows.slice(1), rows.slice(2, 1)]), old)
        incremental = night(folder, columns, day, kept, groups_off=())
        assert_same(incremental, night(folder, columns, day, None, groups_off=()))
        found.append(incremental)
    (first, *_), (second, _, told) = found
    assert min(len(first), len(second)) > 20
    # What a night reads anew is what is new, and what was corrected.
    assert "usage_events: 1 of 3 files as before, 2 read anew" in told


@pytest.fixture
def lake(full_world: Any, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Write a company whose usage events lie in three files."""
    folder = tmp_path / "data"
    folder.mkdir()
    tables = full_world.arrow()
    columns = {name: full_world.columns[name] for name in ("accounts", "subscriptions")}
    columns["usage_events"] = full_world.columns["usage_events"]
    for name in ("accounts", "subscriptions"):
        pq.write_table(tables[name], folder / f"{name}.parquet")
    events = tables["usage_events"]
    (folder / "usage_events").mkdir()
    for number in range(3):
        size = len(events) // 3
        part = events.slice(number * size, size)
        pq.write_table(part, folder / "usage_events" / f"part-{number}.parquet")
    return folder, columns


def test_a_night_says_what_it_reused(lake: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, columns = lake
    kept, day = tmp_path / "panes", NIGHTS[0]
    assert night(folder, columns, day, kept, is_checked=True)[2] == [
        "usage_events: 0 of 3 files as before, 3 read anew"
    ]
    assert night(folder, columns, day + timedelta(days=1), kept, is_checked=True)[2] == [
        "usage_events: 3 of 3 files as before, 0 read anew"
    ]
    assert night(folder, columns, day, kept, is_full=True, is_checked=True)[2] == [
        "usage_events: all 3 files read"
    ]


def test_a_file_replaced_in_place_is_read_anew(
    lake: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, columns = lake
    kept, day = tmp_path / "panes", NIGHTS[0]
    night(folder, columns, day, kept, is_checked=True)
    file = folder / "usage_events" / "part-1.parquet"
    before = file.stat()
    rows = pq.read_table(file)
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert night(folder, columns, day, kept, is_checked=True)[2] == [
        "usage_events: 2 of 3 files as before, 1 read anew"
    ]
    pq.write_table(rows.slice(0, 5), file)
    assert_same(night(folder, columns, day, kept), night(folder, columns, day, None))
    file.unlink()
    checked = [night(folder, columns, day, each, is_checked=True) for each in (kept, None)]
    assert_same(*checked)


def test_what_was_kept_is_not_believed_when_it_is_damaged(
    lake: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, columns = lake
    kept, day = tmp_path / "panes", NIGHTS[0]
    night(folder, columns, day, kept, is_checked=True)
    for file in kept.glob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-100])
    found = night(folder, columns, day, kept, is_checked=True)
    assert_same(found, night(folder, columns, day, None, is_checked=True))
    assert found[2] == ["usage_events: 0 of 3 files as before, 3 read anew"]


def test_results_of_another_form_are_left_alone(
    lake: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, columns = lake
    kept, day = tmp_path / "panes", NIGHTS[0]
    monkeypatch.setattr("features.sources.lake.kept.FORM", "later")
    night(folder, columns, day, kept, is_checked=True)
    later = {file: file.read_bytes() for file in kept.iterdir()}
    monkeypatch.undo()
    found = night(folder, columns, day, kept, is_checked=True)
    assert found[2] == ["usage_events: 0 of 3 files as before, 3 read anew"]
    assert {file: file.read_bytes() for file in later} == later


def test_a_folder_that_cannot_be_written_makes_a_full_night(
    lake: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, columns = lake
    kept, day = tmp_path / "panes", NIGHTS[0]
    kept.write_text("a file in the way", encoding="utf-8")
    found = night(folder, columns, day, kept, is_checked=True)
    assert_same(found, night(folder, columns, day, None, is_checked=True))
    assert found[2][1].startswith(
        f"Nothing is kept for the next night, and this one reads everything, as '{kept}' cannot be"
        " written: "
    )


def test_a_disk_that_fills_up_midway_makes_a_full_night(
    lake: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, columns = lake
    kept, day = tmp_path / "panes", NIGHTS[0]
    calls = iter(range(1_000))

    def full(self: Path, target: Path) -> Path:
        if next(calls) == 7:
            raise OSError(28, "No space left on device")
        os.replace(self, target)
        return Path(target)

    monkeypatch.setattr(Path, "replace", full)
    found = night(folder, columns, day, kept)
    monkeypatch.undo()
    assert_same(found, night(folder, columns, day, None))
    assert "No space left on device" in found[2][1]
    assert not list(kept.glob("*.part"))


def test_what_nobody_asked_for_is_thrown_away(tmp_path: Path) -> None:
    kept = tmp_path / "panes"
    kept.mkdir()
    for name, age in (("old.parquet", 41), ("new.parquet", 39)):
        (kept / name).write_bytes(b"")
        stamp = (kept / name).stat().st_mtime - age * 86_400
        os.utime(kept / name, (stamp, stamp))
    with duckdb.connect() as engine:
        KeptParts(engine, kept).close()
    assert [file.name for file in kept.iterdir()] == ["new.parquet"]
