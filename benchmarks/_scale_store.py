"""How large a run of scores with five reasons each is in a DuckDB store."""

from __future__ import annotations

from pathlib import Path

import batch_score


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Issue a run of a feature table and weigh the store."""
    accounts = 50_000 if quick else 1_000_000
    batch_score.write_models(folder)
    batch_score.write_table(folder, 2_000).rename(folder / "few.parquet")
    file = batch_score.write_table(folder, accounts)
    run = batch_score.measured("product", folder, "large", file)
    return {"store_mb_per_million": run["store_mib"] * 2**20 / accounts}
