"""An independent recomputation of every signal: plain SQL, one account and one day at a time.

Each file of ``oracle/`` holds one query that returns one row with a column per signal of a group.
It runs in SQLite over the untouched rows. Times are whole microseconds since 1970, flags 0 or 1.
Parameters: ``:account``, ``:midnight`` (of the observation date), ``:day`` (microseconds of a day),
and ``:lead`` and ``:horizon`` (of the outcome window, in days).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("oracle")
DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1)


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


class SqlOracle:
    """The rows of a world in SQLite; columns that its tables lack are there and empty."""

    def __init__(
        self, rows: Mapping[str, list[dict[str, Any]]], layout: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.row_factory = sqlite3.Row
        self.queries = {file.stem: file.read_text("utf-8") for file in FOLDER.glob("*.sql")}
        for table, columns in layout.items():
            names = ["account_id", *columns, "recorded_at"]
            listed = ", ".join(f'"{name}"' for name in names)
            self.connection.execute(f'create table "{table}" ({listed})')
            places = ", ".join("?" for _ in names)
            self.connection.executemany(
                f'insert into "{table}" values ({places})',
                [[stored(row.get(name)) for name in names] for row in rows.get(table, [])],
            )
            self.connection.execute(f'create index "{table}_account" on "{table}" (account_id)')

    def signals(self, group: str, account: str, day: datetime, lead: int = 0) -> dict[str, Any]:
        """Return every signal of a group as known on a day."""
        parameters = {"account": account, "midnight": microseconds(day), "day": DAY}
        parameters |= {"lead": lead, "horizon": 30}
        (row,) = self.connection.execute(self.queries[group], parameters).fetchall()
        return dict(row)


def stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return microseconds(value)
    return int(value) if isinstance(value, bool) else value
