"""Files that gain, lose or retype a column from night to night, and stamps of wrong clocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from tests.features.windows.test_kept_parts import NIGHTS, assert_same, lake, night

__all__ = ["lake"]
Change = Callable[[pa.Table], pa.Table]


def put(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


CHANGES: dict[str, Change] = {
    "gains": lambda table: table.append_column("channel", pa.array(["web"] * len(table))),
    "loses": lambda table: table.drop_columns(["quantity", "user_id"]),
    "whole to fraction": lambda table: put(table, "quantity", pc.cast(table["quantity"], "double")),
    "number to text": lambda table: put(table, "quantity", pc.cast(table["quantity"], "string")),
    "time to text": lambda table: put(
        table, "occurred_at", pc.strftime(table["occurred_at"], "%Y-%m-%d %H:%M:%S")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_may_change_between_nights(
    change: str, lake: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, columns = lake
    kept, place = tmp_path / "panes", folder / "usage_events"
    first = night(folder, columns, NIGHTS[0], kept, is_checked=True)
    newer = pq.read_table(place / "part-2.parquet")
    later = pc.add(newer["occurred_at"], pa.scalar(timedelta(days=1)))
    pq.write_table(CHANGES[change](put(newer, "occurred_at", later)), place / "part-3.parquet")
    second = night(folder, columns, NIGHTS[1], kept)
    assert_same(second, night(folder, columns, NIGHTS[1], None))
    assert second[1] != first[1]
    # Once the file is gone again, so is all that it changed.
    (place / "part-3.parquet").unlink()
    assert_same(night(folder, columns, NIGHTS[0], kept, is_checked=True), first)


def test_a_column_that_becomes_no_time_is_refused(
    lake: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, columns = lake
    kept, file = tmp_path / "panes", folder / "usage_events" / "part-3.parquet"
    night(folder, columns, NIGHTS[0], kept, is_checked=True)
    table = pq.read_table(file.with_name("part-2.parquet"))
    pq.write_table(put(table, "occurred_at", pa.array([[1]] * len(table))), file)
    with pytest.raises(DataError) as raised:
        night(folder, columns, NIGHTS[1], kept, is_checked=True)
    # Which of the files is met first, the engine's threads decide.
    assert re.fullmatch(
        r"Table 'usage_events' of the source '\.' cannot be read: Conversion Error: Error while"
        r' reading file ".*/usage_events/part-[0-9]\.parquet": failed to cast column "occurred_at"'
        r" from type .*\[\].*; repair the table or the connection and run again",
        str(raised.value),
    )


def stamped(table: pa.Table, moved: Callable[[datetime], datetime]) -> pa.Table:
    stamps = [moved(moment) for moment in table["occurred_at"].to_pylist()]
    rest = table.drop_columns(["recorded_at"]) if "recorded_at" in table.column_names else table
    return rest.append_column("recorded_at", pa.array(stamps, pa.timestamp("us")))


def test_stamps_of_clocks_that_go_wrong(lake: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """A stamp before the row's own time tells nothing earlier; one to come hides the row."""
    folder, columns = lake
    columns["usage_events"] = columns["usage_events"] | {"recorded_at": "time"}
    files = sorted((folder / "usage_events").iterdir())
    tables = [pq.read_table(file) for file in files]

    def nights(moved: Callable[[datetime], datetime]) -> list[Any]:
        for file, table in zip(files, tables, strict=True):
            pq.write_table(stamped(table, moved), file)
        found = [night(folder, columns, NIGHTS[1], kept) for kept in (tmp_path / "panes", None)]
        assert_same(*found)
        return [found[0][0], found[0][1]["usage_events"]["problems"]]

    exact, none = nights(lambda moment: moment)
    early, still_none = nights(lambda moment: moment - timedelta(days=400))
    assert exact.equals(early)
    assert none == still_none
    late, told = nights(lambda moment: datetime(2200, 1, 1))
    count = sum(map(len, tables))
    assert told == [
        f"{count} values of recorded_at lie in the future; they count when it comes",
        *none,
    ]
    assert exact.usage_28d.max() > 0
    assert late.usage_28d.fillna(0).max() == 0
