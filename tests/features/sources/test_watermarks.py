"""Rows of a server's table that are kept by a watermark: nights that bring only what differs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.build import build_features
from features.errors import DataError, SettingsError
from features.sources.lake.mysql_spans import Spans
from features.sources.lake.watermarks import Watermarks
from features.sources.opening import open_source, remember
from features.tables.company import load_company
from features.tables.mapping.mapping import TablesSettings
from tests.features.lakes import MariaServer, write_mysql
from tests.features.windows.test_kept_parts import KNOWN_UNTIL, NIGHTS, OUTCOME, signals_of

pytestmark = [pytest.mark.mysql, pytest.mark.xdist_group("mysql")]
TABLES = ("accounts", "subscriptions", "usage_events")
Do = Callable[..., None]
Night = Callable[..., tuple[Any, Any, list[str]]]


@pytest.fixture
def database(mariadb: MariaServer, request: pytest.FixtureRequest) -> str:
    return "d" + str(abs(hash(request.node.nodeid)))


@pytest.fixture
def do(mariadb: MariaServer, database: str, full_world: Any) -> Iterator[Do]:
    """Run statements in a database that holds a company."""
    with mariadb.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
        tables = full_world.arrow()
        for name in TABLES:
            write_mysql(admin, f"{database}.{name}", tables[name])
        cursor.execute(f"USE {database}")

        def run(statement: str) -> None:
            assert cursor.execute(statement) is not None

        yield run


@pytest.fixture
def night(mariadb: MariaServer, database: str, do: Do, full_world: Any, tmp_path: Path) -> Night:
    columns = {name: full_world.columns[name] for name in TABLES}

    def build(
        kept: bool = True, *, by: str = "occurred_at", is_full: bool = False, checked: bool = False
    ) -> tuple[Any, Any, list[str]]:
        mapping: dict[str, Any] = {name: {} for name in TABLES}
        mapping["accounts"] = {"attributes": ["industry", "employees"]}
        mapping["usage_events"] = {"watermark": by}
        settings = TablesSettings.model_validate(mapping)
        rows = Watermarks(settings.watermarks, tmp_path / "panes", is_full) if kept else None
        with open_source(mariadb.url(database), tmp_path, watermarks=rows) as source:
            parts = remember(source, TABLES, tmp_path / "panes", is_full=is_full) if rows else None
            company = load_company(source, settings, known_until=KNOWN_UNTIL)
            frame = pd.DataFrame()
            if not checked:
                signals = signals_of(columns)
                frame = build_features(company, [NIGHTS[1]], OUTCOME, signals, labelled=False)
            quality = {name: each.to_dict() for name, each in company.quality.items()}
            told = [*rows.told, *(parts.told() if parts is not None else [])] if rows else []
            return frame, quality, told

    return build


def assert_same(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> None:
    pd.testing.assert_frame_equal(one[0], other[0], rtol=1e-9, atol=1e-9)
    assert one[1] == other[1]


def brought(found: tuple[Any, Any, list[str]]) -> int:
    """How many rows a night brought, as it says itself."""
    told = re.fullmatch(
        r"usage_events: ([0-9,]+) of ([0-9,]+) rows as before, ([0-9,]+) brought from the server",
        found[2][0],
    )
    assert told is not None, found[2]
    before, every, fresh = (int(count.replace(",", "")) for count in told.groups())
    assert before + fresh == every
    return fresh


OLDEST = "ORDER BY occurred_at, account_id LIMIT 3"
CHANGES = {
    "late": f"INSERT INTO usage_events SELECT * FROM usage_events {OLDEST}",
    "corrected": f"UPDATE usage_events SET quantity = 77 {OLDEST}",
    "emptied": f"UPDATE usage_events SET feature = NULL {OLDEST}",
    "deleted": f"DELETE FROM usage_events {OLDEST}",
}
NEW = (
    "INSERT INTO usage_events (account_id, occurred_at, quantity) SELECT account_id,"
    " '2024-06-30 23:59:59.999999', 1 FROM accounts LIMIT 5"
)


def test_nights_bring_what_differs(do: Do, night: Night) -> None:
    """Rows that are new, late, corrected or deleted give what a full build gives."""
    every = brought(night(checked=True))
    assert every > 500
    for what, change in CHANGES.items():
        do(change)
        assert 0 < brought(night(checked=True)) < every / 3, what
    do(NEW)
    found = night()
    assert brought(found) >= 5
    assert_same(found, night(False))
    again = night()
    assert_same(again, found)
    assert brought(again) == 0
    assert again[2][1] == "usage_events: 14 of 14 files as before, 0 read anew"
    whole = night(is_full=True)
    assert_same(whole, found)
    assert whole[2][0] == f"usage_events: all {every - 3 + 3 + 5} rows brought from the server"


@pytest.mark.parametrize("by", ["day", "number", "recorded_at"])
def test_dates_and_numbers_cut_rows_too(by: str, do: Do, night: Night) -> None:
    """Whatever cuts the rows, each is in one span: at its edges, without a value and below zero."""
    if by == "day":
        do("ALTER TABLE usage_events ADD COLUMN day date")
        do("UPDATE usage_events SET day = occurred_at")
    elif by == "number":
        do("ALTER TABLE usage_events ADD COLUMN number bigint NOT NULL AUTO_INCREMENT UNIQUE")
        do("UPDATE usage_events SET number = (number - 9) * 4999 ORDER BY number DESC")
    else:
        do(f"UPDATE usage_events SET recorded_at = NULL {OLDEST}")
        do("UPDATE usage_events SET recorded_at = '2200-01-01' ORDER BY quantity DESC LIMIT 3")
    every = brought(night(by=by, checked=True))
    do(CHANGES["corrected"])
    found = night(by=by, checked=True)
    assert 0 < brought(found) < every
    assert_same(found, night(False, checked=True))


def test_what_was_kept_is_not_believed_when_it_or_the_table_differs(
    do: Do, night: Night, tmp_path: Path
) -> None:
    every = brought(night(checked=True))
    for file in (tmp_path / "panes").glob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-10])
    assert brought(night(checked=True)) == every
    do("ALTER TABLE usage_events ADD COLUMN channel varchar(9) DEFAULT 'web'")
    assert brought(night(checked=True)) == every
    do("ALTER TABLE usage_events MODIFY COLUMN quantity text")
    found = night(checked=True)
    assert brought(found) == every
    assert_same(found, night(False, checked=True))


def test_a_folder_that_cannot_be_written_makes_a_full_night(
    do: Do, night: Night, tmp_path: Path
) -> None:
    (tmp_path / "panes").write_text("a file in the way", encoding="utf-8")
    found = night(checked=True)
    assert_same(found, night(False, checked=True))
    assert found[2][0].startswith(
        f"usage_events: no row is kept for the next night, as '{tmp_path / 'panes'}' cannot be"
        " written: "
    )


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (
            "occured_at",
            "Table 'usage_events' has no column 'occured_at' of plain values, named as its"
            " watermark; did you mean 'occurred_at'?",
        ),
        (
            "feature",
            "Column 'feature', the watermark of `{database}`.`usage_events`, holds texts and must"
            " hold times, dates or whole numbers; name another column",
        ),
    ],
)
def test_columns_that_cut_nothing_are_refused(
    by: str, told: str, database: str, night: Night
) -> None:
    with pytest.raises(SettingsError) as raised:
        night(by=by, checked=True)
    assert str(raised.value) == told.format(database=database)


def test_a_server_without_transactions_is_told_when_rows_move(
    do: Do, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    do("ALTER TABLE usage_events ENGINE = MyISAM")
    statement = Spans.statement

    def moved(self: Spans, names: Any) -> str:
        do(CHANGES["corrected"])
        return statement(self, names)

    monkeypatch.setattr(Spans, "statement", moved)
    with pytest.raises(DataError) as raised:
        night(checked=True)
    assert str(raised.value) == (
        "The table 'usage_events' was changed while it was read, and its server keeps no state of"
        " one moment for a reader; run again when nothing writes"
    )
    monkeypatch.undo()
    assert_same(night(checked=True), night(False, checked=True))


TEXTS = (
    "a varchar(9) CHARACTER SET latin1, b varchar(9) CHARACTER SET cp1251, c varchar(9) CHARACTER"
    " SET utf8mb4 COLLATE utf8mb4_bin, d enum('ж', 'я') CHARACTER SET koi8r, e uuid, f json"
)
ODD = {
    "span": ("span datetime", "('2024-01-01'), ('2024-01-01 10:00'), ('2023-01-03')", "span"),
    "long name": (
        "`span of the watermark` text, n int",
        "('a', 1), ('b', 2), (NULL, NULL)",
        "n",
    ),
    "other span": ("span text, n int", "('a', 1), ('b', 2), ('a', 3), ('b', 4000000)", "n"),
    "below zero": ("n int", "(-999999), (-900000), (-5), (0), (5), (300000)", "n"),
    "never below": ("n bigint unsigned", "(0), (5), (100000), (18446744073709551615)", "n"),
    "the least": ("n bigint", "(-9223372036854775808), (-9223372036854775807)", "n"),
    "bits": ("n bit(20)", "(5), (700000), (NULL)", "n"),
    "no earlier month": ("n date", "('0001-01-01'), ('0001-01-31')", "n"),
    "alphabets": (
        f"{TEXTS}, n int",
        "('é', 'ж', '😀', 'ж', '6ccd780c-baba-1026-9564-5b8c656024db', '[1]', 1)",
        "n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", list(ODD))
def test_odd_tables_are_kept_as_they_are(odd: str, mariadb: MariaServer, tmp_path: Path) -> None:
    """Names, alphabets and numbers of any kind give what bringing the whole table gives."""
    columns, rows, by = ODD[odd]
    database = f"odd{list(ODD).index(odd)}"
    with mariadb.connect() as admin, admin.cursor() as cursor:
        for statement in (
            f"CREATE DATABASE {database}",
            f"CREATE TABLE {database}.t ({columns})",
            f"INSERT INTO {database}.t VALUES {rows}",
        ):
            cursor.execute(statement)

    def found(kept: Watermarks | None) -> list[str]:
        with open_source(mariadb.url(database), tmp_path, watermarks=kept) as source:
            return sorted(map(str, source.tables["t"].to_pyarrow().to_pylist()))

    whole = found(None)
    assert len(whole) == rows.count("(")
    for fresh in (len(whole), 0):
        kept = Watermarks({"t": by}, tmp_path / "kept")
        assert found(kept) == whole
        assert f", {fresh} brought from the server" in kept.told[0]


def test_one_table_has_one_watermark() -> None:
    tables = {name: {"from": "rows", "watermark": name} for name in ("tickets", "surveys")}
    with pytest.raises(ValueError, match="watermark is 'surveys', and that of the same table"):
        TablesSettings.model_validate({"subscriptions": {}, **tables})
