"""Usage events of many accounts, in the order they happened, as a Parquet file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ACCOUNTS = 100_000
FEATURES = 40
MOST_USERS = 200
FIRST_DAY, LAST_DAY = date(2023, 1, 1), date(2024, 6, 28)
CHUNK = 1_000_000
DAY = 86_400_000_000
SCHEMA = pa.schema(
    {
        "account_id": pa.string(),
        "occurred_at": pa.timestamp("us"),
        "feature": pa.string(),
        "user_id": pa.string(),
        "quantity": pa.float64(),
    }
)


def write_events(file: Path, count: int, seed: int = 1) -> None:
    """Write events: a few large accounts and many small ones, favourite features, own users.

    Parameters
    ----------
    file : Path
        Where to write.
    count : int
        Number of events, over 545 days and 100,000 accounts.
    seed : int
        Fixes every random choice.
    """
    chance = np.random.default_rng(seed)
    size = chance.lognormal(0.0, 1.0, ACCOUNTS)
    users = np.clip(3 * size * chance.lognormal(0.0, 0.5, ACCOUNTS), 1, MOST_USERS).astype(int)
    up_to = np.cumsum(size) / size.sum()
    liking = np.cumsum(1 / np.arange(1, FEATURES + 1))
    accounts = pa.array([f"A-{number:06d}" for number in range(ACCOUNTS)])
    features = pa.array([f"feature {number}" for number in range(FEATURES)])
    first = np.datetime64(FIRST_DAY, "us").astype(np.int64)
    span = (LAST_DAY - FIRST_DAY).days * DAY
    with pq.ParquetWriter(file, SCHEMA) as writer:
        for start in range(0, count, CHUNK):
            rows = min(CHUNK, count - start)
            who = np.minimum(np.searchsorted(up_to, chance.random(rows)), ACCOUNTS - 1)
            low, high = (first + edge * span // count for edge in (start, start + rows))
            moments = np.sort(chance.integers(low, high, rows))
            feature = np.searchsorted(liking, chance.random(rows) * liking[-1])
            user = who * MOST_USERS + (chance.random(rows) ** 1.5 * users[who]).astype(int)
            columns = {
                "account_id": accounts.take(pa.array(who)),
                "occurred_at": pa.array(moments, pa.timestamp("us")),
                "feature": features.take(pa.array(feature)),
                "user_id": pa.array(np.char.add("U", user.astype(str))),
                "quantity": pa.array(1.0 + (chance.random(rows) < 0.1)),
            }
            writer.write_table(pa.table(columns, schema=SCHEMA))
