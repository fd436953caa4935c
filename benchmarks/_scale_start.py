"""Starting up: what a night and an explanation of few accounts take, which is little but loading.

Beside them what Python itself takes, and what it takes to import the libraries of tables.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
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
    jobs = {
        "start_seconds": ("score", *config, "--json", "--force", "--full"),
        "start_again_seconds": ("score", *config, "--json", "--force"),
        "start_check_seconds": ("check", *config, "--json", "--full"),
    }
    bare = {"start_pass_seconds": "pass", "start_import_seconds": "import duckdb, ibis, pandas"}
    used: dict[str, list[float]] = {name: [] for name in (*jobs, *bare)}
    for _ in range(QUICK_REPEATS if quick else REPEATS):
        for name, arguments in jobs.items():
            used[name].append(processor(lambda given=arguments: run(*given)))
        for name, code in bare.items():
            used[name].append(processor(lambda said=code: run(start=said)))
    return {name: statistics.median(seconds) for name, seconds in used.items()}


def processor(work: Callable[[], None]) -> float:
    """Return the seconds of processor time that processes take which some work starts."""
    before = os.times()
    work()
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def run(*arguments: str, start: str = "from pipelines.cli import main; main()") -> None:
    root = Path(__file__).resolve().parents[1]
    subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
