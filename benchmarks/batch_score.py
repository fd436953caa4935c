"""Is scoring and explaining everybody cheaper than predicting alone?

A feature table of simulated accounts lies on disk as Parquet. The product reads it, scores and
explains every account (points of each group, five reasons), fingerprints what it read and issues
the run into a DuckDB store. The floor reads the same columns, calls ``Booster.predict`` of the same
trees and writes the probabilities. Each run is a process of its own and they alternate; seconds
count from the moment all libraries are loaded and the model is read.

    python benchmarks/batch_score.py [--quick] [--json] [--accounts N] [--repeats N]

``ratio_floor``      seconds of the product as a share of the floor's, with 400 trees of 31 leaves
``ratio_floor_own``  the same with as few trees as the product chose to train on 100,000 accounts
``ratio_floor_cpu``  as ``ratio_floor``, in seconds of processor
``rows_per_second``  accounts the product scores, explains and issues
``peak_gib``         most memory of the product's process
``linear``           seconds of four times the accounts, as a multiple of four times the seconds
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

COMPANY_ACCOUNTS = 2_000
ROW_GROUP = 131_072
MODELS = {
    "large": {"n_rounds": 400, "num_leaves": 31, "max_depth": 6, "min_child_samples": 100},
    "own": {"n_rounds": 40},
}
CONFIG = """\
[source]
url = "data"
[tables.accounts]
[tables.subscriptions]
[store]
url = "scores.duckdb"
"""


def write_models(folder: Path) -> None:
    """Train on a simulated company: with as many trees as people use, and with as few as ours."""
    from _companies import read_company, write_company
    from sklearn.base import clone

    from models.churn.segments import SegmentSettings
    from models.training.fit import fit_health_model
    from models.training.learning import Learning

    write_company(folder / "company", COMPANY_ACCOUNTS, seed=7)
    of = read_company(folder / "company")
    segments = SegmentSettings(**of.segments | {"columns": tuple(of.segments["columns"])})
    model = fit_health_model(
        of.frame, of.signals, Learning(maturity_days=of.maturity_days, segments=segments, seed=7)
    ).model
    inputs = of.frame[of.names].assign(segment=model.segments.assign(of.frame))
    for name, trees in MODELS.items():
        classifier = clone(model.classifier).set_params(**trees, backbone=True)
        classifier.fit(inputs, of.frame["happened"].astype(int))
        replace(model, classifier=classifier, shap=None).save(folder / name)
    of.frame.drop(columns=["happened", "true_probability"]).to_parquet(folder / "rows.parquet")


def write_table(folder: Path, accounts: int) -> Path:
    """Draw accounts from the company's rows; numbers that are not whole are moved a little."""
    rows = pd.read_parquet(folder / "rows.parquet")
    newest = rows["observation_date"].max()
    file = folder / f"features-{accounts}.parquet"
    schema = pa.Schema.from_pandas(rows, preserve_index=False).remove_metadata()
    generator = np.random.default_rng(accounts)
    with parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, accounts, ROW_GROUP):
            count = min(ROW_GROUP, accounts - start)
            part = rows.iloc[generator.integers(len(rows), size=count)].copy()
            part["account_id"] = [f"A-{number:08d}" for number in range(start, start + count)]
            part["observation_date"] = newest
            for name in part.select_dtypes("float64"):
                values = part[name].to_numpy()
                broken = values != np.round(values)
                part[name] = values * np.where(broken, 1 + 0.01 * generator.normal(size=count), 1)
            writer.write_table(pa.Table.from_pandas(part, schema, preserve_index=False))
    return file


def product(folder: Path, model_name: str, file: Path) -> dict[str, float]:
    """Score and explain the table and issue the run."""
    from models.scoring.health_model import HealthModel
    from models.scoring.scorer import Scorer
    from pipelines.project.feature_stream import feature_stream
    from pipelines.project.project import load_project
    from pipelines.scoring.score import issue_scores
    from pipelines.store import duckdb as duckdb_store  # noqa: F401 - loaded before the clock starts

    home = folder / "project"
    home.mkdir(exist_ok=True)
    (home / "healthscore.toml").write_text(CONFIG, encoding="utf-8")
    project = load_project(home / "healthscore.toml")
    store = home / "scores.duckdb"
    store.unlink(missing_ok=True)
    model = HealthModel.load(folder / model_name)
    with feature_stream(project, model, None, file.with_name("few.parquet")) as few:
        scorer = Scorer(model)
        # So that compiled code is loaded, as it is for as many rows as are measured.
        scorer.shap.expect(parquet.read_metadata(file).num_rows)
        for batch in few.read()[1]:
            scorer.score_batch(batch)
    began, used = time.perf_counter(), time.process_time()
    with feature_stream(project, model, None, file) as stream:
        issued = issue_scores(project, stream, model, "1", "none")
    seconds = {"wall": time.perf_counter() - began, "cpu": time.process_time() - used}
    return {**seconds, "rows": issued.rows, "store_mib": store.stat().st_size / 2**20}


def floor(folder: Path, model_name: str, file: Path) -> dict[str, float]:
    """Read, predict with LightGBM, write the probabilities."""
    from models.scoring.health_model import HealthModel

    model = HealthModel.load(folder / model_name)
    encoder, booster = model.classifier.encoder_, model.classifier.booster_
    assert booster is not None
    threads = len(os.sched_getaffinity(0))
    began, used = time.perf_counter(), time.process_time()
    rows = 0
    schema = pa.schema([("account_id", pa.string()), ("probability", pa.float64())])
    with (
        parquet.ParquetFile(file) as table,
        parquet.ParquetWriter(folder / "floor.parquet", schema) as writer,
    ):
        for batch in table.iter_batches(ROW_GROUP, columns=["account_id", *encoder.names]):
            values = np.empty((batch.num_rows, len(encoder.names)))
            for i, name in enumerate(encoder.names):
                column = batch[name]
                if (levels := encoder.levels.get(name)) is not None:
                    codes = pa.compute.index_in(column, value_set=pa.array(levels, column.type))
                    column = codes.cast(pa.float64())
                values[:, i] = column.to_numpy(zero_copy_only=False)
            told = booster.predict(values, num_threads=threads)
            writer.write_batch(pa.record_batch([batch["account_id"], pa.array(told)], schema))
            rows += batch.num_rows
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - used, "rows": rows}


MEASURED = {"product": product, "floor": floor}


def measured(what: str, folder: Path, model_name: str, file: Path) -> dict[str, float]:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what, str(folder), model_name, str(file)],
        stdout=subprocess.PIPE,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(folder: Path, model_name: str, file: Path, repeats: int) -> dict[str, Any]:
    """Alternate product and floor; medians of each."""
    found: dict[str, list[dict[str, float]]] = {"product": [], "floor": []}
    for _ in range(repeats):
        for what, runs in found.items():
            runs.append(measured(what, folder, model_name, file))
    return {
        what: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for what, runs in found.items()
    }


def measure(accounts: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Write models and tables, and compare."""
    write_models(folder)
    write_table(folder, 2_000).rename(folder / "few.parquet")
    file, fourfold = write_table(folder, accounts), write_table(folder, 4 * accounts)
    large = compare(folder, "large", file, repeats)
    own = compare(folder, "own", file, repeats)
    more = measured("product", folder, "large", fourfold)
    ours, bare = large["product"], large["floor"]
    return {
        "accounts": accounts,
        "signals": len(parquet.read_schema(file)) - 3,
        "ratio_floor": ours["wall"] / bare["wall"],
        "ratio_floor_cpu": ours["cpu"] / bare["cpu"],
        "ratio_floor_own": own["product"]["wall"] / own["floor"]["wall"],
        "rows_per_second": ours["rows"] / ours["wall"],
        "peak_gib": ours["peak_gib"],
        "peak_gib_fourfold": more["peak_gib"],
        "linear": more["wall"] / (4 * ours["wall"]),
        "seconds": {"400 trees": large, "40 trees": own, "fourfold": more},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="50,000 accounts, one repeat")
    parser.add_argument("--accounts", type=int, help="1,000,000")
    parser.add_argument("--repeats", type=int, help="of each; 3")
    parser.add_argument("--measure", nargs=4, metavar="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        what, folder, model_name, file = asked.measure
        found = MEASURED[what](Path(folder), model_name, Path(file))
        found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found))
        return
    accounts = asked.accounts or (50_000 if asked.quick else 1_000_000)
    repeats = asked.repeats or (1 if asked.quick else 3)
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(accounts, repeats, Path(scratch))
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        if not isinstance(value, dict):
            print(f"{name:<20}{value:>14,.3f}")
    for name, runs in figures["seconds"].items():
        print(name, json.dumps(runs))


if __name__ == "__main__":
    main()
