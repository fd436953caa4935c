"""Training: memory for each million rows, and time beside LightGBM alone."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds files called as packages are, which must not stand in front of them.
sys.path.append(sys.path.pop(1))

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from scipy.special import xlogy

from models.arrays import Floats
from models.churn.segments import SegmentSettings
from models.training.learning import Learning

if TYPE_CHECKING:
    from _companies import Company

SIZES, QUICK_SIZES = (200_000, 800_000), (10_000, 20_000)
ACCOUNTS = 2_000
SHARE = 0.1
SEED, BATCH = 7, 131_072
NOT_READ = "true_probability"


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Measure at two sizes, each in a process of its own."""
    from _companies import write_company

    write_company(folder / "company", ACCOUNTS, seed=SEED)
    runs = []
    for rows in QUICK_SIZES if quick else SIZES:
        draw(folder, rows)
        runs.append({name: _alone(name, folder) for name in ("training", "plain")})
    small, large = (run["training"] for run in runs)
    plain = runs[-1]["plain"]
    slope = (large["gib"] - small["gib"]) / (large["rows"] - small["rows"])
    # A tree costs as much in the plain run as on the same rows in a training.
    alike = plain["seconds"] * large["tree_rows"] / (plain["trees"] * large["rows"])
    sample = _alone("sample", folder)
    return {
        "train_gib_per_million_rows": 1e6 * slope,
        "train_bytes_per_value": slope * 2**30 / large["signals"],
        "train_gib_of_first": small["gib"] - slope * small["rows"],
        "train_ratio_lgb": large["seconds"] / alike,
        "train_ratio_final_trees": large["seconds"] / plain["seconds"],
        "train_seconds": large["seconds"],
        "fit_ratio": plain["fit_seconds"] / plain["seconds"],
        "captured": sample["all"],
        "captured_lost_by_a_tenth": sample["all"] - sample["sampled"],
    }


def draw(folder: Path, rows: int) -> None:
    """Draw whole accounts of the company; numbers that are not whole are moved a little."""
    from _companies import read_company

    of = read_company(folder / "company")
    chance = np.random.default_rng(rows)
    places = list(of.frame.groupby("account_id", sort=False).indices.values())
    each = np.mean([len(part) for part in places])
    chosen = chance.integers(len(places), size=int(rows / each))
    taken = np.concatenate([places[one] for one in chosen])
    sizes = [len(places[one]) for one in chosen]
    names = np.repeat([f"B-{number:08d}" for number in range(len(chosen))], sizes)
    order = np.lexsort([names, of.frame["observation_date"].to_numpy()[taken]])
    schema = pa.Schema.from_pandas(of.frame, preserve_index=False).remove_metadata()
    with parquet.ParquetWriter(folder / "rows.parquet", schema) as writer:
        for start in range(0, len(taken), BATCH):
            here = order[start : start + BATCH]
            part = of.frame.take(taken[here]).assign(account_id=names[here])
            for name in set(part.select_dtypes("float64")) - {NOT_READ}:
                values = part[name].to_numpy()
                moved = 1 + 0.01 * chance.normal(size=len(part)) * (values != np.round(values))
                part[name] = values * moved
            part["happened"] = chance.random(len(part)) < part[NOT_READ]
            part["happened"] = part["happened"].astype(of.frame["happened"].dtype)
            writer.write_table(pa.Table.from_pandas(part, schema, preserve_index=False))


def training(folder: Path) -> dict[str, float]:
    """Train as ``healthscore train`` does, from rows that arrive in batches."""
    from models.churn import trees
    from models.training.coding import code_table
    from models.training.fit import fit_health_model

    of, learning = _company(folder)
    file = parquet.ParquetFile(folder / "rows.parquet")
    names = [name for name in file.schema_arrow.names if name != NOT_READ]
    schema = pa.schema([file.schema_arrow.field(name) for name in names])
    table = code_table(schema, file.iter_batches(BATCH, columns=names))
    grown: list[int] = []
    grow = trees.grow_trees

    def counted(data, *given, rounds, **others):  # type: ignore[no-untyped-def]
        grown.append(len(data) * rounds)
        return grow(data, *given, rounds=rounds, **others)

    trees.grow_trees = counted
    began = time.perf_counter()
    result = fit_health_model(table, of.signals, learning)
    seconds = time.perf_counter() - began
    chosen = result.choice
    (folder / "chosen.json").write_text(json.dumps([chosen["n_rounds"], chosen["tree_rounds"]]))
    return {
        "rows": len(table),
        "signals": len(of.signals),
        "seconds": seconds,
        "tree_rows": sum(grown),
        "coded_gib": table.nbytes / 2**30,
    }


def plain(folder: Path) -> dict[str, float]:
    """Grow the trees of the final model with LightGBM alone, and fit one model of the product."""
    import lightgbm as lgb

    from models.churn.encoding import SignalEncoder
    from models.churn.segments import assign_segments
    from models.scoring.health_model import SEGMENT, model_input
    from models.training.learning import classifier_of

    of, learning = _company(folder)
    frame = pd.read_parquet(folder / "rows.parquet")
    rounds, tree_rounds = json.loads((folder / "chosen.json").read_text())
    inputs = model_input(frame, of.signals, assign_segments(frame, learning.segments))
    happened = frame["happened"].to_numpy(dtype=int)
    encoder = SignalEncoder.fit(inputs, SEGMENT)
    values = encoder.transform(inputs).values
    fixed = {"objective": "binary", "num_threads": 1, "verbosity": -1, "force_row_wise": True}
    settings = {"learning_rate": 0.05, "num_leaves": 8, "feature_fraction": 0.8}
    began = time.perf_counter()
    data = lgb.Dataset(values, happened, categorical_feature=encoder.categorical)
    lgb.train({**fixed, **settings}, data, rounds + tree_rounds)
    seconds = time.perf_counter() - began
    classifier = classifier_of(of.signals, seed=SEED, n_jobs=1)
    classifier.set_params(n_rounds=rounds, tree_rounds=tree_rounds, tree_share=0.5)
    began = time.perf_counter()
    classifier.fit(inputs, happened)
    return {
        "seconds": seconds,
        "trees": rounds + tree_rounds,
        "fit_seconds": time.perf_counter() - began,
    }


def sample(folder: Path) -> dict[str, float]:
    """Tell what of the true risk of later dates is captured, by all rows and by a part of them.

    Of the expected log loss that can be explained: 0 for the mean, 1 for the truth.
    """
    from models.training.learning import learn
    from models.training.splits import time_holdout

    of, learning = _company(folder)
    frame = pd.read_parquet(folder / "rows.parquet")
    fold = time_holdout(frame["observation_date"], of.maturity_days)
    known, later = frame.take(fold.train), frame.take(fold.test)
    risk = later[NOT_READ].to_numpy()
    figures = {}
    for name, share in (("all", 1.0), ("sampled", SHARE)):
        learnt = learn(known, of.signals, replace(learning, negatives=share))
        losses = [_loss(risk, told) for told in (risk.mean(), learnt.probability(later), risk)]
        figures[name] = (losses[0] - losses[1]) / (losses[0] - losses[2])
    return figures


def _loss(risk: Floats, told: Floats | float) -> float:
    told = np.clip(told, 1e-6, 1 - 1e-6)
    return float(-(xlogy(risk, told) + xlogy(1 - risk, 1 - told)).mean())


def _company(folder: Path) -> tuple[Company, Learning]:
    from _companies import read_company

    of = read_company(folder / "company", newest_dates=1)
    segments = SegmentSettings(**of.segments | {"columns": tuple(of.segments["columns"])})
    return of, Learning(maturity_days=of.maturity_days, segments=segments, seed=SEED)


MEASURED: dict[str, Callable[[Path], dict[str, float]]] = {
    "training": training,
    "plain": plain,
    "sample": sample,
}


def _alone(what: str, folder: Path) -> dict[str, float]:
    """Measure in a process of its own, and tell the most memory it took."""
    done = subprocess.run(
        [sys.executable, __file__, what, str(folder)], stdout=subprocess.PIPE, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    found = MEASURED[sys.argv[1]](Path(sys.argv[2]))
    found["gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found))
