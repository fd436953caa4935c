"""A batch of scores beside reading, predicting and writing, with as few trees as we choose."""

from __future__ import annotations

from pathlib import Path

import batch_score


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Alternate product and floor on one feature table."""
    batch_score.write_models(folder)
    batch_score.write_table(folder, 2_000).rename(folder / "few.parquet")
    file = batch_score.write_table(folder, 50_000 if quick else 1_000_000)
    runs = batch_score.compare(folder, "own", file, 1 if quick else 3)
    own, bare = runs["product"], runs["floor"]
    return {
        "ratio_floor_own": own["wall"] / bare["wall"],
        "ratio_floor_own_cpu": own["cpu"] / bare["cpu"],
    }
