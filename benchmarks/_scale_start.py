"""Starting up: what a night of few accounts takes, which is little but loading."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ACCOUNTS, REPEATS = 1_000, 5
QUICK_ACCOUNTS, QUICK_REPEATS = 300, 2


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Score the same company several times over; the first time warms the disk."""
    accounts = QUICK_ACCOUNTS if quick else ACCOUNTS
    config = ["-c", str(folder / "healthscore.toml")]
    run("simulate", str(folder / "tables"), "--accounts", str(accounts), "--months", "12")
    run("init", str(folder / "tables"), *config)
    run("train", *config)
    run("score", *config, "--json")
    wall, used = [], []
    for _ in range(QUICK_REPEATS if quick else REPEATS):
        began, before = time.perf_counter(), os.times()
        run("score", *config, "--json", "--force")
        after = os.times()
        wall.append(time.perf_counter() - began)
        used.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    return {"start_seconds": statistics.median(used), "start_wall": statistics.median(wall)}


def run(*arguments: str) -> None:
    start = "from pipelines.cli import main; main()"
    root = Path(__file__).resolve().parents[1]
    subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
