"""What counting a table for the drift watch costs beside reading every column of it once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from _drift_streams import Stream, signals
from pyarrow import parquet

ROW_GROUP, REPEATS = 125_000, 5
Figures = dict[str, Any]


def one_pass(folder: Path, rows: int, program: str) -> Figures:
    """Time counting against summing, alternately, each by a ``program --child`` of its own."""
    file = folder / "features.parquet"
    reference = _write_table(file, rows)
    (folder / "reference.json").write_text(json.dumps(reference.to_dict()), encoding="utf-8")
    runs: dict[str, list[Figures]] = {"count": [], "scan": []}
    for _ in range(REPEATS):
        for what, kept in runs.items():
            command = [sys.executable, program, "--child", what, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            kept.append(json.loads(done.stdout))
    least = {
        what: {key: min(run[key] for run in kept) for key in ("seconds", "cpu")}
        for what, kept in runs.items()
    }
    return {
        "rows": rows,
        "counted": runs["count"][0]["rows"],
        "pass_seconds": least["count"]["seconds"],
        "scan_seconds": least["scan"]["seconds"],
        "pass_ratio": least["count"]["seconds"] / least["scan"]["seconds"],
        "pass_ratio_cpu": least["count"]["cpu"] / least["scan"]["cpu"],
        "pass_peak_gib": max(run["peak_gib"] for run in runs["count"]),
        "scan_peak_gib": max(run["peak_gib"] for run in runs["scan"]),
    }


def _write_table(file: Path, rows: int) -> Any:
    from models.drift.reference import fit_reference

    writer, reference = None, None
    for number in range(-(-rows // ROW_GROUP)):
        count = min(ROW_GROUP, rows - number * ROW_GROUP)
        frame = next(Stream(count, number).months(1)).frame
        if reference is None:
            few = frame.iloc[:20_000]
            reference = fit_reference(few, signals(), few["segment"].to_numpy())
        frame["account_id"] = [f"A-{number}-{name}" for name in frame["account_id"]]
        table = pa.Table.from_pandas(frame.drop(columns="happened"), preserve_index=False)
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return reference


def child(what: str, folder: Path) -> Figures:
    """Count, or sum every column; libraries, connection and reference are ready before."""
    from features.sources.duckdb import duckdb_engine
    from models.drift.histograms import histograms
    from models.drift.reference import Reference

    described = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    reference, engine = Reference.from_dict(described), duckdb_engine()
    file = str(folder / "features.parquet")
    table = engine.connection.read_parquet(file)
    few = table.limit(100)
    histograms(reference, few, segment=few["segment"])
    few.account_id.count().execute()
    began, used = time.perf_counter(), time.process_time()
    if what == "count":
        counted = histograms(reference, table, segment=table["segment"]).rows
    else:
        # Of a category its greatest name: text has no sum.
        sums = [
            table[one.name].max().name(one.name)
            if one.is_categorical
            else table[one.name].sum().name(one.name)
            for one in signals()
        ]
        counted = len(table.aggregate(sums).to_pyarrow())
    return {
        "rows": counted,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - used,
        "peak_gib": _peak_gib(),
    }


def _peak_gib() -> float:
    """Most memory of this process; getrusage would count its parent's from before exec."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20
