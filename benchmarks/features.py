"""How fast are signals, against a bare scan and against the windowed join people write first?

Events of 100,000 accounts over 545 days; 12 monthly observation dates; windows of 7, 28, 90 and
180 days with count, sum, distinct features and distinct users. Each measurement runs in a process
of its own; what is compared runs in turn in the same process, the engine held to two threads.

    python benchmarks/features.py [--quick] [--json] [--events N] [--accounts N]

``ratio_naive``        how many times faster than joining every observation with its events
``ratio_scan``         cost as a multiple of the bare scan: count and sum, grouped by account
``ratio_windows``      cost of eight windows as a multiple of four
``ratio_single_date``  cost of one observation date as a multiple of the bare scan
``peak_gib``           most memory of the engine's process, at two and a half times the events

With ``--quick`` the 1.2 million rows of the result outweigh its 2 million events: its ratios show
that everything runs, not how fast a scan is.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ibis
import ibis.expr.types as ir
import pandas as pd
from _events import write_events

from features.observations import dates_table
from features.windows.panes import Events, Measure, Window, aggregate_windows

DATES = [date(2023, month, 1) for month in range(7, 13)]
DATES += [date(2024, month, 1) for month in range(1, 7)]
FOUR, EIGHT = (7, 28, 90, 180), (7, 14, 28, 45, 60, 90, 120, 180)
MEASURES = {
    "uses": Measure("count"),
    "volume": Measure("sum", "quantity"),
    "features": Measure("distinct", "feature", few=True),
    "users": Measure("distinct", "user_id"),
}
SCAN = "select account_id, count(*) as uses, sum(quantity) as volume from events group by 1"
PANDAS_EVENTS = 1_000_000


class Bench:
    """The events in the engine, and the observations to build for."""

    def __init__(self, file: Path) -> None:
        self.connection = ibis.duckdb.connect(threads=2)
        self.file = file
        self.run(f"create view events as select * from read_parquet('{file}')")
        self.run("create temp table accounts as select distinct account_id from events")

    def run(self, statement: str) -> float:
        """Run a statement to its end and return its seconds."""
        began = time.perf_counter()
        self.connection.con.execute(statement).fetchall()
        return time.perf_counter() - began

    def scan(self) -> float:
        """Return the seconds of the bare scan-and-group."""
        return self.run(f"create or replace temp table scanned as {SCAN}")

    def panes(self, dates: Sequence[date], days: Sequence[int]) -> float:
        """Return the seconds of the windowed aggregation, its own queries included."""
        began = time.perf_counter()
        accounts = self.connection.table("accounts")
        rows = self.connection.table("events").rename(moment="occurred_at")
        result: ir.Table = aggregate_windows(
            accounts.cross_join(dates_table(dates)),
            dates,
            Events(rows),
            [Window(f"{length}d", length) for length in days],
            MEASURES,
            lambda name, table: self.connection.create_table(
                ibis.util.gen_name(name), table, temp=True
            ),
        )
        self.run("drop table if exists from_panes")
        self.connection.create_table("from_panes", result, temp=True)
        return time.perf_counter() - began

    def naive(self, days: Sequence[int]) -> float:
        """Return the seconds of joining every observation with the events before it."""
        parts = []
        for length in days:
            inside = f"filter (where occurred_at >= observation_date - interval {length} day)"
            parts += [
                f"count(*) {inside} as uses_{length}d",
                f"coalesce(sum(quantity) {inside}, 0) as volume_{length}d",
                f"count(distinct feature) {inside} as features_{length}d",
                f"count(distinct user_id) {inside} as users_{length}d",
            ]
        self.connection.create_table("dates", dates_table(DATES), temp=True)
        return self.run(
            "create temp table from_join as"
            f" select account_id, observation_date, {', '.join(parts)} from events join dates"
            " on occurred_at < observation_date"
            f" and occurred_at >= observation_date - interval {max(days)} day group by 1, 2"
        )

    def differing(self) -> int:
        """Count the rows on which the windowed join and the panes disagree."""
        names = [f"{measure}_{length}d" for measure in MEASURES for length in FOUR]
        equal = " and ".join(f"p.{name} = coalesce(j.{name}, 0)" for name in names)
        found = self.connection.con.execute(
            "select count(*) from from_panes as p full join from_join as j"
            f" using (account_id, observation_date) where not coalesce({equal}, false)"
        )
        return int(found.fetchall()[0][0])


def against_scan(file: Path, repeats: int) -> dict[str, Any]:
    """Time four and eight windows and a single date in turn with the bare scan."""
    bench = Bench(file)
    bench.scan()
    tasks: dict[str, Callable[[], float]] = {
        "scan": bench.scan,
        "four": lambda: bench.panes(DATES, FOUR),
        "eight": lambda: bench.panes(DATES, EIGHT),
        "single": lambda: bench.panes(DATES[-1:], FOUR),
    }
    rounds = [{name: task() for name, task in tasks.items()} for _ in range(repeats)]
    return {name: statistics.median(turn[name] for turn in rounds) for name in tasks}


def engine_only(file: Path, repeats: int) -> dict[str, Any]:
    """Time the panes alone, for time and memory by the number of events."""
    bench = Bench(file)
    return {"four": statistics.median(bench.panes(DATES, FOUR) for _ in range(repeats))}


def against_join(file: Path, repeats: int) -> dict[str, Any]:
    """Time the windowed join once, and compare every number."""
    bench = Bench(file)
    four = statistics.median(bench.panes(DATES, FOUR) for _ in range(repeats))
    return {"four": four, "naive": bench.naive(FOUR), "differing": bench.differing()}


def against_pandas(file: Path, repeats: int) -> dict[str, Any]:
    """Time the same signals as pandas computes them, a window at a time."""
    bench = Bench(file)
    four = statistics.median(bench.panes(DATES, FOUR) for _ in range(repeats))
    events = pd.read_parquet(file)
    began = time.perf_counter()
    for day in DATES:
        for length in FOUR:
            first = pd.Timestamp(day - timedelta(days=length))
            moment = events["occurred_at"]
            inside = events[(moment >= first) & (moment < pd.Timestamp(day))]
            inside.groupby("account_id").agg(
                uses=("quantity", "size"),
                volume=("quantity", "sum"),
                features=("feature", "nunique"),
                users=("user_id", "nunique"),
            )
    return {"four": four, "pandas": time.perf_counter() - began}


def whole_company(file: Path, repeats: int) -> dict[str, Any]:
    """Build every group of a simulated company's signals, for one date and for twelve."""
    from features.build import build_features, signals_of
    from features.outcomes.labels import matured_dates
    from pipelines.project.company import open_company
    from pipelines.project.project import load_project

    project = load_project(file)
    settings = project.settings
    found: dict[str, Any] = {}
    began = time.perf_counter()
    with open_company(project) as company:
        found["check_seconds"] = time.perf_counter() - began
        signals = signals_of(company, settings.signals)
        found["groups"], found["signals"] = len({s.group for s in signals}), len(signals)
        training = matured_dates(company, settings.outcome)[-12:]
        for name, dates in (("single", [company.data_end]), ("training", training)):
            began = time.perf_counter()
            frame = build_features(
                company, dates, settings.outcome, settings.signals, labelled=name == "training"
            )
            seconds = time.perf_counter() - began
            found[name] = {
                "dates": len(dates),
                "rows": len(frame),
                "seconds": seconds,
                "rows_per_second": len(frame) / seconds,
            }
            del frame
    return found


CHILDREN = {
    child.__name__: child
    for child in (against_scan, engine_only, against_join, against_pandas, whole_company)
}


def in_child(name: str, file: Path, repeats: int = 3) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", name, str(file), str(repeats)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def measure(events: int, accounts: int, *, quick: bool) -> dict[str, Any]:
    """Run every measurement."""
    repeats = 1 if quick else 3
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs: dict[str, Any] = {"scaling": {}}
        files = {count: folder / f"{count}.parquet" for count in (events, PANDAS_EVENTS)}
        for count, file in files.items():
            write_events(file, count)
        runs["scan"] = in_child("against_scan", files[events], repeats)
        runs["join"] = in_child("against_join", files[events], repeats)
        runs["pandas"] = in_child("against_pandas", files[PANDAS_EVENTS], repeats)
        for count in (events // 4, events, events * 5 // 2):
            file = folder / f"{count}.parquet"
            if not file.exists():
                write_events(file, count)
            runs["scaling"][count] = in_child("engine_only", file, repeats)
            file.unlink()
        runs["company"] = in_child("whole_company", _company(folder, accounts))
    if runs["join"]["differing"]:
        raise SystemExit(f"{runs['join']['differing']} rows differ from the windowed join")
    scan = runs["scan"]
    return {
        "ratio_naive": runs["join"]["naive"] / runs["join"]["four"],
        "ratio_scan": scan["four"] / scan["scan"],
        "ratio_windows": scan["eight"] / scan["four"],
        "ratio_single_date": scan["single"] / scan["scan"],
        "ratio_pandas": runs["pandas"]["pandas"] / runs["pandas"]["four"],
        "peak_gib": max(run["peak_gib"] for run in runs["scaling"].values()),
        "events": events,
        "accounts": accounts,
        "runs": runs,
    }


def _company(folder: Path, accounts: int) -> Path:
    from pipelines.setup.draft import write_draft
    from pipelines.setup.simulation.simulate import Simulation, simulate

    simulate(folder / "data", Simulation(accounts=accounts))
    write_draft(folder / "data", folder / "healthscore.toml")
    return folder / "healthscore.toml"


def report(figures: dict[str, Any]) -> None:
    runs = figures["runs"]
    scan, join, company = runs["scan"], runs["join"], runs["company"]
    print(f"{figures['events']:,} events: scan {scan['scan']:.2f} s, panes {scan['four']:.2f} s")
    print(f"  against the windowed join   {figures['ratio_naive']:.1f} x faster")
    print(f"    ({join['naive']:.1f} s, every number equal)")
    print(f"  against a bare scan         {figures['ratio_scan']:.1f} x its cost")
    print(f"  eight windows, not four     {figures['ratio_windows']:.2f} x")
    print(f"  one date                    {figures['ratio_single_date']:.1f} x the scan")
    print(f"  pandas, {PANDAS_EVENTS:,} events    {figures['ratio_pandas']:.1f} x slower")
    for count, run in runs["scaling"].items():
        print(f"  {int(count):>12,} events  {run['four']:7.2f} s  {run['peak_gib']:.2f} GiB")
    print(
        f"Company of {figures['accounts']:,} accounts, {company['groups']} groups,"
        f" {company['signals']} signals: checked in {company['check_seconds']:.1f} s"
    )
    for name in ("single", "training"):
        run = company[name]
        print(
            f"  {run['dates']:>2} date(s): {run['rows']:,} rows in {run['seconds']:.1f} s,"
            f" {run['rows_per_second']:,.0f} rows per second"
        )
    print(f"  peak memory {company['peak_gib']:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="2 M events, 2,000 accounts")
    parser.add_argument("--events", type=int, default=None)
    parser.add_argument("--accounts", type=int, default=None)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        name, file, repeats = asked.child
        found = CHILDREN[name](Path(file), int(repeats))
        found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found))
        return
    figures = measure(
        asked.events or (2_000_000 if asked.quick else 20_000_000),
        asked.accounts or (2_000 if asked.quick else 100_000),
        quick=asked.quick,
    )
    if asked.json:
        print(json.dumps(figures))
    else:
        report(figures)


if __name__ == "__main__":
    main()
