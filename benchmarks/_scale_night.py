"""A night that reads what is new, beside one that builds everything, in processes of their own.

Usage events lie in a folder a month, the last day in a file of its own; the other tables are
exported whole each night. The champion is taught on a small company of the same make.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb

EVENTS = "usage_events"
TAUGHT_ON, QUICK_TAUGHT_ON = 1_000, 300


def prepare(folder: Path, accounts: int, taught_on: int = TAUGHT_ON) -> date:
    """Simulate both companies, teach the champion, lay the events out; return the last day."""
    from pipelines.project.project import load_project
    from pipelines.setup.draft import write_draft
    from pipelines.setup.simulation.simulate import Simulation, simulate
    from pipelines.training.train import train

    small = folder / "small"
    simulate(small / "data", Simulation(accounts=taught_on))
    write_draft(small / "data", small / "healthscore.toml")
    train(load_project(small / "healthscore.toml"))
    simulate(folder / "data", Simulation(accounts=accounts))
    shutil.rmtree(folder / "data" / "truth")
    shutil.copy(small / "healthscore.toml", folder / "healthscore.toml")
    shutil.move(small / "mlruns", folder / "mlruns")
    return lay_out(folder)


def lay_out(folder: Path) -> date:
    """Put the events into a file a month, and those of the last day apart, outside the tables."""
    whole, into = folder / "data" / f"{EVENTS}.parquet", folder / "data" / EVENTS
    with duckdb.connect() as engine:
        read = f"read_parquet('{whole}')"
        newest = engine.execute(f"SELECT max(occurred_at) FROM {read}").fetchall()[0][0]
        last = newest.replace(hour=0, minute=0, second=0, microsecond=0)
        month_of = "strftime(occurred_at, '%Y-%m')"
        months = engine.execute(f"SELECT DISTINCT {month_of} FROM {read} ORDER BY 1").fetchall()
        for (month,) in months:
            place = into / f"month={month}"
            place.mkdir(parents=True)
            engine.execute(
                f"COPY (SELECT * FROM {read} WHERE {month_of} = '{month}'"
                f" AND occurred_at < TIMESTAMP '{last}') TO '{place}/part-0.parquet'"
            )
        engine.execute(
            f"COPY (SELECT * FROM {read} WHERE occurred_at >= TIMESTAMP '{last}')"
            f" TO '{folder}/last_day.parquet'"
        )
    whole.unlink()
    return last.date()


def taken_back(folder: Path, last: date) -> Path:
    """Leave the last day out again, forget all nights, and return the last month's folder."""
    (folder / "scores.duckdb").unlink(missing_ok=True)
    shutil.rmtree(folder / "scores.duckdb.panes", ignore_errors=True)
    month = folder / "data" / EVENTS / f"month={last:%Y-%m}"
    (month / "part-1.parquet").unlink(missing_ok=True)
    return month


def night(folder: Path, *more: str) -> dict[str, float]:
    """Run a night in a process of its own, as of the day after the last row."""
    program = Path(sys.executable).with_name("healthscore")
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [program, "score", "-c", folder / "healthscore.toml", "--json", *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.perf_counter() - began, "cpu": used, "gib": after.ru_maxrss / 2**20}


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Run a first night, one with a new day, and the same one in full."""
    last = prepare(folder, 2_000, QUICK_TAUGHT_ON) if quick else prepare(folder, 100_000)
    return nights(folder, last)


def nights(folder: Path, last: date) -> dict[str, float | None]:
    """Run the nights of a prepared company."""
    place = taken_back(folder, last)
    first = night(folder)
    shutil.copy(folder / "last_day.parquet", place / "part-1.parquet")
    # The other tables end on the same day: it is the same date again.
    new = night(folder, "--force")
    full = night(folder, "--full", "--force")
    return {
        "night_ratio_incremental": new["wall"] / full["wall"],
        "night_ratio_incremental_cpu": new["cpu"] / full["cpu"],
        "night_ratio_first_cpu": first["cpu"] / full["cpu"],
        "night_seconds_first": first["wall"],
        "night_seconds_new": new["wall"],
        "night_seconds_full": full["wall"],
        "night_gib": max(first["gib"], new["gib"], full["gib"]),
    }
