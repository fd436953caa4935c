"""Spark beside DuckDB: workers that write a run, rows that pass the driver, and one process.

A feature table lies on disk as Parquet. A cluster of workers on this machine, one core each, issues
it into a Parquet store, once with workers that write it and once through the driver; one process
on as many cores reads it with DuckDB and issues it into another. All of them are warm.

With ``--kills N`` an executor, then a driver, then an executor and so on are killed (``kill -9``)
at random moments of a run, which is asked for again until it is there. Rows of every run are then
counted in its files as other programs read them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds files called as packages are, which must not stand in front of them.
sys.path.append(sys.path.pop(1))

import duckdb
import psutil

if TYPE_CHECKING:
    from features.build import FeatureRows
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project
    from pipelines.store.parquet import ParquetStore
    from pipelines.store.runs import Run, RunKey

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 2
URL = f"spark://?master=local-cluster[{WORKERS},1,1024]&folder=data&spark.driver.host=127.0.0.1"
SIZES, QUICK_SIZES = {"few": 2_000, "rows": 500_000}, {"few": 2_000, "rows": 70_000}
MODEL, EXECUTOR = "own", "CoarseGrainedExecutorBackend"
SEED, MOST_SECONDS = 7, 600
CONFIG = '[source]\nurl = "data"\n[tables.accounts]\n[tables.labels]\n[store]\nurl = "{}/"\n'


def measure(folder: Path, *, quick: bool, kills: int = 0) -> dict[str, float | None]:
    """Measure each way in a process of its own, then kill."""
    import batch_score

    sizes = QUICK_SIZES if quick else SIZES
    batch_score.write_models(folder)
    (folder / "data").mkdir()
    for name, accounts in sizes.items():
        batch_score.write_table(folder, accounts).rename(folder / "data" / f"{name}.parquet")
    seconds = {}
    for way in ("one", "driver", "workers"):
        told, _ = _started(way, folder).communicate(timeout=MOST_SECONDS)
        seconds[way] = float(json.loads(told.splitlines()[-1]))
    figures = {
        "spark_ratio_driver": seconds["workers"] / seconds["driver"],
        "spark_ratio_duckdb": seconds["workers"] / seconds["one"],
        "spark_seconds": seconds["workers"],
        "spark_accounts_apart": float(_apart(folder)),
    }
    return figures | (killed(folder, kills, sizes["rows"], seconds["workers"]) if kills else {})


def killed(folder: Path, kills: int, accounts: int, seconds: float) -> dict[str, float | None]:
    """Kill executors and drivers in turn, and count what their runs hold."""
    random, number, hit = Random(SEED), 1, 0
    for kill in range(kills):
        child = _started("issue", folder, str(number))
        assert child.stdout is not None
        while child.stdout.readline().strip() != "begun":
            assert child.poll() is None, "it ended before it began"
        time.sleep(random.uniform(0, 1.1 * seconds))
        with suppress(psutil.NoSuchProcess):
            victims = _victims(child.pid, random, is_driver=bool(kill % 2))
            for victim in victims:
                victim.kill()
            # Some runs have ended by then.
            hit += bool(victims)
        child.communicate(timeout=MOST_SECONDS)
        number += _run_folder(folder, "kills", str(number)).exists()
    _started("issue", folder, str(number)).communicate(timeout=MOST_SECONDS)
    twice = lost = 0
    for one in range(1, number + 1):
        files = _run_folder(folder, "kills", str(one)) / "*.parquet"
        counted = f"select count(*), count(distinct account_id) from '{files}'"
        ((rows, distinct),) = duckdb.sql(counted).fetchall()
        twice, lost = twice + rows - distinct, lost + accounts - distinct
    return {
        "spark_kills": float(hit),
        "spark_runs_killed_at": float(number),
        "spark_rows_twice": float(twice),
        "spark_rows_lost": float(lost),
    }


def _victims(pid: int, random: Random, *, is_driver: bool) -> list[psutil.Process]:
    """Return the processes of a driver, or one of its executors where there is any by now."""
    below = psutil.Process(pid).children(recursive=True)
    executors = [one for one in below if EXECUTOR in _command(one)]
    if not is_driver:
        return [random.choice(executors)] if executors else []
    machines = [one for one in below if "java" in _command(one) and one not in executors]
    return [psutil.Process(pid), *machines]


def _command(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _apart(folder: Path) -> int:
    """Count accounts that are not the same on Spark as in one process."""
    files = (_run_folder(folder, way, "1") / "*.parquet" for way in ("workers", "one"))
    ours, theirs = (f"(select * from '{file}')" for file in files)
    alike = "abs(a.score - b.score) <= 1e-9 and a.band = b.band"
    alike += " and a.reason_signals = b.reason_signals and a.reason_values = b.reason_values"
    joined = f"select count(*) from {ours} a full join {theirs} b using (account_id)"
    ((count,),) = duckdb.sql(f"{joined} where ({alike}) is not true").fetchall()
    return int(count)


def one(folder: Path) -> float:
    """Issue the table from one process."""
    from pipelines.project.feature_stream import feature_stream
    from pipelines.scoring.score import issue_scores

    project, model, seconds = _project(folder, "one"), _model(folder), 0.0
    for name, version in (("few", "warm"), ("rows", "1")):
        began = time.perf_counter()
        with feature_stream(project, model, None, folder / "data" / f"{name}.parquet") as stream:
            issue_scores(project, stream, model, version, "none", workers=WORKERS)
        seconds = time.perf_counter() - began
    return seconds


def driver(folder: Path) -> float:
    """Issue the table on Spark, its rows through the driver."""
    return _on_spark(folder, "driver", _through_driver, "few warm", "rows 1")


def workers(folder: Path) -> float:
    """Issue the table on Spark, written where its rows lie."""
    return _on_spark(folder, "workers", _from_workers, "few warm", "rows 1")


def issue(folder: Path, number: str) -> float:
    """Issue one run from workers, and tell when that begins."""
    return _on_spark(folder, "kills", _from_workers, f"rows {number}")


def _on_spark(
    folder: Path,
    way: str,
    issuing: Callable[[ParquetStore, FeatureRows, HealthModel, RunKey], object],
    *runs: str,
) -> float:
    """Issue runs of tables in one session, and return the seconds of the last."""
    from features.build import FeatureRows
    from features.sources.opening import open_source
    from features.tables.company import Company
    from pipelines.store.opening import open_store

    project, model, seconds = _project(folder, way), _model(folder), 0.0
    with open_source(URL, folder) as source, open_store(project, read_only=False) as store:
        session: Any = source.engine.connection
        # An executor that is killed takes with it what was not written down.
        session._session.sparkContext.setCheckpointDir(str(folder / f"kept-{os.getpid()}"))
        company = Company(source.engine, {}, {}, None)  # type: ignore[arg-type]
        print("begun", flush=True)
        for name, version in map(str.split, runs):
            began = time.perf_counter()
            table = source.tables[name]
            day = table.observation_date.cast("timestamp")
            kept = source.engine.keep(name, table.mutate(observation_date=day))
            count = int(kept.count().execute())
            rows = FeatureRows(company, kept, count, model.signals)
            issuing(store, rows, model, _key(folder, version))  # type: ignore[arg-type]
            seconds = time.perf_counter() - began
    return seconds


def _from_workers(store: ParquetStore, rows: FeatureRows, model: HealthModel, key: RunKey) -> Run:
    from pipelines.scoring.spark.issue import issue_from_workers

    return issue_from_workers(rows, model, store, key, None, lambda told: {}, force=False)


def _through_driver(store: ParquetStore, rows: FeatureRows, model: HealthModel, key: RunKey) -> Run:
    from models.training.fingerprint import RowsFingerprint
    from pipelines.scoring.bands.settled import bands_in
    from pipelines.scoring.spark.cluster import score_on_cluster

    groups = {signal.name: signal.group for signal in model.signals}
    fingerprint, bands = RowsFingerprint(), bands_in(None, 0)
    _, scored = score_on_cluster(rows, model, ["account_id", *model.required_columns])
    with store.issue(key, groups) as writer:
        for batch, hashes in scored:
            writer.write(bands.settle(batch, model.scale))
            fingerprint.update(hashes)
        return writer.finish({"data_fingerprint": fingerprint.hexdigest()})


def _model(folder: Path) -> HealthModel:
    from models.scoring.health_model import HealthModel

    return HealthModel.load(folder / MODEL)


def _project(folder: Path, way: str) -> Project:
    from pipelines.project.project import load_project

    config = folder / f"{way}.toml"
    config.write_text(CONFIG.format(f"store-{way}"), encoding="utf-8")
    return load_project(config)


def _key(folder: Path, version: str) -> RunKey:
    from pipelines.store.runs import RunKey

    rows = folder / "data" / "rows.parquet"
    ((day,),) = duckdb.sql(f"select max(observation_date)::date from '{rows}'").fetchall()
    return RunKey("main", day, version)


def _run_folder(folder: Path, way: str, version: str) -> Path:
    from pipelines.store.parquet import ParquetStore

    store = ParquetStore(folder / f"store-{way}", read_only=True)
    return store.folder_of(_key(folder, version), 1)


def _started(way: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start a process; executors import the project from where it is."""
    return subprocess.Popen(
        [sys.executable, __file__, way, str(folder), *more],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        text=True,
    )


WAYS: dict[str, Callable[..., float]] = {
    "one": one,
    "driver": driver,
    "workers": workers,
    "issue": issue,
}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
