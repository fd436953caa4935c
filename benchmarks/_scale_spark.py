"""Spark beside DuckDB: workers that write a run, rows that pass the driver, and one process.

A feature table lies on disk as Parquet. A cluster of two workers on this machine and one of four,
one core each, issue it into a Parquet store, once with workers that write it and once through the
driver; one process reads it with DuckDB and issues it into another. All of them are warm. Seconds
of processor are those of the driver, its Java, the executors and their Python, whatever else the
machine does meanwhile.

What a plan for larger tables needs is measured by ``_scale_spark_steps.py``.

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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
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
WORKERS = {2: "", 4: "_four"}
"""Sizes of the cluster, and how the keys of its figures end."""
URL = "spark://?master=local-cluster[{},1,1024]&folder=data&spark.driver.host=127.0.0.1"
SIZES, QUICK_SIZES = {"few": 2_000, "rows": 500_000}, {"few": 2_000, "rows": 140_000}
STEPS = Path(__file__).with_name("_scale_spark_steps.py")
MODEL, EXECUTOR = "own", "CoarseGrainedExecutorBackend"
SEED, MOST_SECONDS = 7, 1_800
CONFIG = '[source]\nurl = "data"\n[tables.accounts]\n[tables.labels]\n[store]\nurl = "{}/"\n'
Cost = dict[str, float]


def measure(folder: Path, *, quick: bool, kills: int = 0) -> dict[str, float | None]:
    """Measure each way in a process of its own, then kill."""
    import batch_score

    sizes = QUICK_SIZES if quick else SIZES
    batch_score.write_models(folder)
    (folder / "data").mkdir()
    for name, accounts in sizes.items():
        batch_score.write_table(folder, accounts).rename(folder / "data" / f"{name}.parquet")
    alone = _told("one", folder)
    figures: dict[str, float | None] = {"spark_one_cpu": alone["cpu"]}
    for count, end in WORKERS.items():
        driver, written = (_told(way, folder, str(count)) for way in ("driver", "workers"))
        figures |= {
            f"spark_ratio_driver{end}": written["seconds"] / driver["seconds"],
            f"spark_ratio_driver_cpu{end}": written["cpu"] / driver["cpu"],
            f"spark_ratio_duckdb{end}": written["seconds"] / alone["seconds"],
            f"spark_ratio_duckdb_cpu{end}": written["cpu"] / alone["cpu"],
            f"spark_seconds{end}": written["seconds"],
            f"spark_cpu{end}": written["cpu"],
            f"spark_files{end}": float(
                len(list(run_folder(folder, f"workers-{count}").glob("*.parquet")))
            ),
            f"spark_accounts_apart{end}": float(_apart(folder, f"workers-{count}")),
        }
    for way, more in (("steps", ["2"]), ("files", [])):
        figures |= _told(way, folder, *more, of=STEPS)
    # A series of kills takes long: what was measured before it is told now.
    print(json.dumps(figures), file=sys.stderr)
    for count in WORKERS if kills else ():
        figures |= killed(folder, count, kills, sizes["rows"])
        print(json.dumps(figures), file=sys.stderr)
    return figures


def killed(folder: Path, workers: int, kills: int, accounts: int) -> dict[str, float | None]:
    """Kill executors and drivers in turn, and count what their runs hold."""
    end, way, random = WORKERS[workers], f"kills-{workers}", Random(SEED)
    asked, number, hits = _Asked(folder, workers), 0, {False: 0, True: 0}
    # As long as a run takes that nobody kills: the first of a session, and others.
    seconds = {is_first: asked.ends(number := number + 1) for is_first in (True, False)}
    number += 1
    for kill in range(kills):
        is_driver, is_first = bool(kill % 2), asked.is_new
        asked.begins(number)
        time.sleep(random.uniform(0, 1.1 * seconds[is_first]))
        with suppress(psutil.NoSuchProcess):
            victims = _victims(asked.child.pid, random, is_driver=is_driver)
            for victim in victims:
                victim.kill()
            # Some runs have ended by then.
            hits[is_driver] += bool(victims)
        asked.wait()
        number += run_folder(folder, way, str(number)).exists()
        print(f"{workers} workers: killed {kill + 1}, issued {number - 1}", file=sys.stderr)
    if not run_folder(folder, way, str(number)).exists():
        asked.ends(number)
    asked.close()
    twice = lost = 0
    for one in range(1, number + 1):
        files = run_folder(folder, way, str(one)) / "*.parquet"
        counted = f"select count(*), count(distinct account_id) from '{files}'"
        ((rows, distinct),) = duckdb.sql(counted).fetchall()
        twice, lost = twice + rows - distinct, lost + accounts - distinct
    return {
        f"spark_executors_killed{end}": float(hits[False]),
        f"spark_drivers_killed{end}": float(hits[True]),
        f"spark_runs_killed_at{end}": float(number),
        f"spark_rows_twice{end}": float(twice),
        f"spark_rows_lost{end}": float(lost),
    }


class _Asked:
    """A process with a session of Spark that issues the runs it is asked for."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.given = ("issue", folder, str(workers))
        self.child, self.is_new = _started(*self.given), True

    def begins(self, number: int) -> None:
        """Return when a run begins, in another session where that of before is gone."""
        for _ in range(2):
            assert self.child.stdin is not None
            with suppress(BrokenPipeError):
                self.child.stdin.write(f"{number}\n")
                self.child.stdin.flush()
            if self._told("begun"):
                return
            self.child.communicate(timeout=MOST_SECONDS)
            self.child, self.is_new = _started(*self.given), True
        raise AssertionError("it ended before it began")

    def wait(self) -> None:
        """Return when the run ended, or its process did."""
        self.is_new = not self._told("ended")

    def ends(self, number: int) -> float:
        """Have a run issued, and return how long it took."""
        self.begins(number)
        began = time.perf_counter()
        self.wait()
        assert not self.is_new, "it was not issued"
        return time.perf_counter() - began

    def close(self) -> None:
        self.child.communicate(timeout=MOST_SECONDS)

    def _told(self, word: str) -> bool:
        assert self.child.stdout is not None
        return any(line.strip() == word for line in self.child.stdout)


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


def _apart(folder: Path, way: str) -> int:
    """Count accounts that are not the same on Spark as in one process."""
    files = (run_folder(folder, each) / "*.parquet" for each in (way, "one"))
    ours, theirs = (f"(select * from '{file}')" for file in files)
    alike = "abs(a.score - b.score) <= 1e-9 and a.band = b.band"
    alike += " and a.reason_signals = b.reason_signals and a.reason_values = b.reason_values"
    joined = f"select count(*) from {ours} a full join {theirs} b using (account_id)"
    ((count,),) = duckdb.sql(f"{joined} where ({alike}) is not true").fetchall()
    return int(count)


@contextmanager
def costed() -> Iterator[Cost]:
    """Give the seconds of a block, and those of processor of this process and all below it."""
    cost: Cost = {}
    began, used = time.perf_counter(), _used()
    yield cost
    cost |= {"seconds": time.perf_counter() - began, "cpu": _used() - used}


def _used() -> float:
    """Return the seconds of processor of this process and of all below it, ended ones as well."""
    me, used = psutil.Process(), 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:4])
    return used


def one(folder: Path) -> Cost:
    """Issue the table from one process."""
    from pipelines.project.feature_stream import feature_stream
    from pipelines.scoring.score import issue_scores

    project, model = project_of(folder, "one"), model_of(folder)
    for name, version in (("few", "warm"), ("rows", "1")):
        file = folder / "data" / f"{name}.parquet"
        with costed() as cost, feature_stream(project, model, None, file) as stream:
            issue_scores(project, stream, model, version, "none", workers=os.cpu_count())
    return cost


def driver(folder: Path, workers: str) -> Cost:
    """Issue the table on Spark, its rows through the driver."""
    return _on_spark(folder, f"driver-{workers}", _through_driver, ["few warm", "rows 1"])


def workers(folder: Path, workers: str) -> Cost:
    """Issue the table on Spark, written where its rows lie."""
    return _on_spark(folder, f"workers-{workers}", from_workers, ["few warm", "rows 1"])


def issue(folder: Path, workers: str) -> Cost:
    """Issue each run that is asked for, and tell when it begins and ends."""
    return _on_spark(folder, f"kills-{workers}", from_workers, _asked_for())


def _asked_for() -> Iterator[str]:
    for line in sys.stdin:
        print("begun", flush=True)
        yield f"rows {line.strip()}"
        print("ended", flush=True)


def _on_spark(
    folder: Path,
    way: str,
    issuing: Callable[[ParquetStore, FeatureRows, HealthModel, RunKey], object],
    runs: Iterable[str],
) -> Cost:
    """Issue runs of tables in one session, and return what the last cost."""
    from pipelines.store.opening import open_store

    project, model = project_of(folder, way), model_of(folder)
    cluster = session(folder, way.rpartition("-")[2])
    with cluster as source, open_store(project, read_only=False) as store:
        for name, version in map(str.split, runs):
            with costed() as cost:
                rows = kept(source, name, model)
                issuing(store, rows, model, key_of(folder, version))  # type: ignore[arg-type]
    return cost


@contextmanager
def session(folder: Path, workers: str) -> Iterator[Any]:
    """Open the tables on a cluster of this machine."""
    from features.sources.opening import open_source

    with open_source(URL.format(workers), folder) as source:
        connection: Any = source.engine.connection
        # An executor that is killed takes with it what was not written down.
        connection._session.sparkContext.setCheckpointDir(str(folder / f"kept-{os.getpid()}"))
        yield source


def kept(source: Any, name: str, model: HealthModel) -> FeatureRows:
    """Have the workers keep a table as they keep features."""
    from features.build import FeatureRows
    from features.tables.company import Company

    table = source.tables[name]
    day = table.observation_date.cast("timestamp")
    held = source.engine.keep(name, table.mutate(observation_date=day))
    company = Company(source.engine, {}, {}, None)  # type: ignore[arg-type]
    return FeatureRows(company, held, int(held.count().execute()), model.signals)


def from_workers(store: ParquetStore, rows: FeatureRows, model: HealthModel, key: RunKey) -> Run:
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


def model_of(folder: Path) -> HealthModel:
    from models.scoring.health_model import HealthModel

    return HealthModel.load(folder / MODEL)


def project_of(folder: Path, way: str) -> Project:
    from pipelines.project.project import load_project

    config = folder / f"{way}.toml"
    config.write_text(CONFIG.format(f"store-{way}"), encoding="utf-8")
    return load_project(config)


def key_of(folder: Path, version: str) -> RunKey:
    from pipelines.store.runs import RunKey

    rows = folder / "data" / "rows.parquet"
    ((day,),) = duckdb.sql(f"select max(observation_date)::date from '{rows}'").fetchall()
    return RunKey("main", day, version)


def run_folder(folder: Path, way: str, version: str = "1") -> Path:
    from pipelines.store.parquet import ParquetStore

    store = ParquetStore(folder / f"store-{way}", read_only=True)
    return store.folder_of(key_of(folder, version), 1)


def _told(way: str, folder: Path, *more: str, of: str | Path = __file__) -> Cost:
    """Measure in a process of its own."""
    told, _ = _started(way, folder, *more, of=of).communicate(timeout=MOST_SECONDS)
    return dict(json.loads(told.splitlines()[-1]))


def _started(
    way: str, folder: Path, *more: str, of: str | Path = __file__
) -> subprocess.Popen[str]:
    """Start a process; executors import the project from where it is."""
    return subprocess.Popen(
        [sys.executable, of, way, str(folder), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        text=True,
    )


WAYS: dict[str, Callable[..., Cost]] = {way.__name__: way for way in (one, driver, workers, issue)}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
