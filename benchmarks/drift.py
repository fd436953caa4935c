"""Is drift noticed, and is nothing noticed when there is none?

Simulated companies are watched month by month after their champion was trained: 60 signals of
accounts that resemble themselves from month to month, with small shocks and a season that all
share. Without drift every word is a false alarm; with drift it is counted how often and how soon a
rule speaks. Two usual rules see the same streams: the plain population stability index with its
cut-offs 0.1 and 0.25, and a Kolmogorov-Smirnov test of every signal at p < 0.05. Each is
measured once more with the cut-off at which it gives as many false alarms as we do.

    python benchmarks/drift.py [--quick] [--json] [--streams N] [--jobs N] [--only PART]

``false_retrain``, ``false_watch``  share of checks without drift, by accounts
``detected``                        share of streams where the drift was found, by accounts, kind
``detected_retrain``                the same, where it led to retraining or a broken feed
``months``                          mean months until then; 0 is the first check, and 12 counts
                                    where it was not found within a year
``named``                           share of feed faults called by their name at the first check
``called_fault``                    share of streams of other drift that were called a broken feed
``psi``, ``ks``                     the same keys for the two rules with their usual cut-offs, and
                                    under ``equal`` with as many false alarms as ours
``pass_ratio``, ``pass_ratio_cpu``  seconds of counting 1 M accounts x 60 signals, over the seconds
                                    of summing every column of the same Parquet table
``tables``                          status by month on tables of the simulated company
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds a features.py, which must not stand in front of the package of that name.
sys.path.append(sys.path.pop(1))

import numpy as np
from _drift_checks import watch_stream
from _drift_pass import child, one_pass
from _drift_streams import CHECKS, FEED_FAULTS, HISTORY, KINDS

# Checks after a drift began in which it is to be found.
WITHIN = 12
STREAMS = {200: 40, 2_000: 24, 50_000: 4}
QUICK = {200: 4, 2_000: 2}
PASS_ROWS = 1_000_000
LEVEL = {"ok": 0, "watch": 1, "retrain": 2, "broken-feed": 2}
USUAL = {"psi": (0.1, 0.25), "ks_p": (0.05, 0.05)}
Figures = dict[str, Any]


def streams(accounts: int, count: int, jobs: int) -> Figures:
    """Measure one size of company."""
    tasks = [
        (accounts, seed, kind, _checks(kind)) for seed in range(count) for kind in (None, *KINDS)
    ]
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(_watch, tasks))
    by_kind = {
        kind: [one for task, one in zip(tasks, found, strict=True) if task[2] == kind]
        for kind in (None, *KINDS)
    }
    quiet = by_kind.pop(None)
    false = [_false(quiet, "status", _ours(level)) for level in (1, 2)]
    cuts = {name: _equal_cuts(quiet, name, false) for name in ("psi", "ks")}
    rules: Figures = {
        "psi": _rule(quiet, by_kind, "psi", [_above(cut) for cut in USUAL["psi"]]),
        "ks": _rule(quiet, by_kind, "ks_p", [_below(cut) for cut in USUAL["ks_p"]]),
    }
    for name, cut in cuts.items():
        rules[name]["equal"] = {
            "cut_offs": cut,
            **_rule(quiet, by_kind, name, [_above(one) for one in cut]),
        }
    return {
        "streams": count,
        "checks": count * CHECKS,
        **_rule(quiet, by_kind, "status", [_ours(1), _ours(2)]),
        "named": {
            kind: statistics.mean(one["named"][0] for one in by_kind[kind]) for kind in FEED_FAULTS
        },
        "called_fault": {
            kind: statistics.mean("broken-feed" in one["status"] for one in by_kind[kind])
            for kind in KINDS
            if kind not in FEED_FAULTS
        },
        **rules,
    }


def _checks(kind: str | None) -> int:
    return CHECKS if kind is None else WITHIN


def _watch(task: tuple[int, int, str | None, int]) -> Figures:
    found = watch_stream(*task)
    print(
        f"{time.strftime('%H:%M:%S')} {task[0]:,} accounts, seed {task[1]}, "
        f"{task[2] or 'no drift'}",
        file=sys.stderr,
        flush=True,
    )
    return found


def _ours(level: int) -> Any:
    return lambda status: LEVEL[status] >= level


def _above(cut: float) -> Any:
    return lambda value: value > cut


def _below(cut: float) -> Any:
    return lambda value: value < cut


def _false(quiet: list[Figures], name: str, speaks: Any) -> float:
    return float(np.mean([speaks(value) for one in quiet for value in one[name]]))


def _equal_cuts(quiet: list[Figures], name: str, false: list[float]) -> list[float]:
    """Cut-offs with as many false alarms as ours; where we had none, with no more than one."""
    values = np.sort([value for one in quiet for value in one[name]])
    places = [len(values) - 1 - max(round(rate * len(values)), 1) for rate in false]
    return [float(values[place]) for place in places]


def _rule(
    quiet: list[Figures], by_kind: dict[Any, list[Figures]], name: str, speaks: list[Any]
) -> Figures:
    """False alarms, detection and delay of a rule at its two levels."""
    watch, retrain = speaks
    firsts = {kind: [_first(one[name], watch) for one in many] for kind, many in by_kind.items()}
    calls = {kind: [_first(one[name], retrain) for one in many] for kind, many in by_kind.items()}
    return {
        "false_watch": _false(quiet, name, watch),
        "false_retrain": _false(quiet, name, retrain),
        "detected": {kind: _share(found) for kind, found in firsts.items()},
        "months": {kind: _delay(found) for kind, found in firsts.items()},
        "detected_retrain": {kind: _share(found) for kind, found in calls.items()},
        "months_retrain": {kind: _delay(found) for kind, found in calls.items()},
    }


def _first(values: list[Any], speaks: Any) -> int | None:
    return next((number for number, value in enumerate(values) if speaks(value)), None)


def _share(found: list[int | None]) -> float:
    return float(np.mean([one is not None for one in found]))


def _delay(found: list[int | None]) -> float | None:
    """Mean months to detection; a drift that was not found counts with the whole time."""
    return float(np.mean([WITHIN if one is None else one for one in found])) if found else None


def on_tables(folder: Path, accounts: int) -> Figures:
    """Watch the simulated company's own tables: the champion is trained before the drift."""
    from datetime import date

    from pipelines.setup.simulation.simulate import Simulation

    found: Figures = {}
    for kind in ("none", "payment-crisis", "usage-collapse"):
        since = None if kind == "none" else date(2025, 6, 1)
        simulation = Simulation(accounts=accounts, seed=7, drift=kind, drift_from=since)  # type: ignore[arg-type]
        found[kind] = _company_by_month(folder / kind, simulation)
        print(f"{time.strftime('%H:%M:%S')} tables, {kind}", file=sys.stderr, flush=True)
    return found


def _company_by_month(folder: Path, simulation: Any) -> dict[str, str]:
    from models.churn.segments import SegmentSettings
    from models.drift.decision import decide, noticed
    from models.drift.feed_faults import feed_faults, feed_suspects
    from models.drift.histograms import second_look
    from models.drift.policy import DriftPolicy
    from models.drift.reference import fit_reference, frame_histograms
    from models.drift.statistics import drift_statistics
    from models.scoring.scorer import Scorer
    from models.training.fit import fit_health_model
    from models.training.learning import Learning
    from pipelines.project.project import load_project
    from pipelines.project.rows import labelled_rows
    from pipelines.setup.draft import write_draft
    from pipelines.setup.simulation.simulate import simulate

    simulate(folder / "data", simulation)
    write_draft(folder / "data", folder / "healthscore.toml")
    project = load_project(folder / "healthscore.toml")
    rows = labelled_rows(project)
    frame, described = rows.frame, rows.signals
    dates = sorted(frame["observation_date"].unique())
    known = [day for day in dates if day < dates[0] + np.timedelta64(396, "D")]
    rows = frame[frame["observation_date"].isin(known)].reset_index(drop=True)
    model = fit_health_model(
        rows,
        described,
        Learning(
            maturity_days=project.settings.outcome.maturity_days,
            segments=SegmentSettings(columns=("plan",)),
            seed=7,
        ),
    ).model
    scorer = Scorer(model)
    scored = scorer.score(rows).table
    reference = fit_reference(rows, model.signals, scored["segment"], score=scored["score"])
    decided, since = {}, {}
    for day in dates[len(known) :]:
        now = frame[frame["observation_date"] == day].reset_index(drop=True)
        result = scorer.score(now).table
        segment = result["segment"].to_numpy(dtype=object)
        current = frame_histograms(reference, now, segment, score=result["score"])
        table = _in_engine(now.assign(segment=segment))
        unusual = feed_suspects(reference, current)
        look = second_look(reference, table, unusual, segment=table["segment"])
        moment = day.to_pydatetime().date()
        statistics = drift_statistics(reference, current, model.signal_weights, moment)
        moved = {(drift.name, drift.segment) for drift in noticed(statistics, DriftPolicy())}
        since = {place: since.get(place, moment) for place in moved}
        decision = decide(
            statistics,
            feed_faults(reference, current, model.signals, look),
            DriftPolicy(),
            trained_on=known[-1].to_pydatetime().date(),
            since=since,
        )
        decided[moment.isoformat()] = f"{decision.status}: {decision.reasons[0]}"
    return decided


def _in_engine(frame: Any) -> Any:
    import ibis

    return ibis.memtable(frame)


def measure(sizes: dict[int, int], jobs: int, rows: int, only: str | None) -> Figures:
    found: Figures = {"history": HISTORY, "within": WITHIN}
    if only in (None, "streams"):
        by_size = {str(size): streams(size, count, jobs) for size, count in sizes.items()}
        shared = ("false_retrain", "false_watch", "detected", "months", "named")
        found |= {key: {size: one[key] for size, one in by_size.items()} for key in shared}
        found["streams"] = by_size
    with tempfile.TemporaryDirectory() as scratch:
        if only in (None, "pass"):
            found |= one_pass(Path(scratch), rows, __file__)
        if only in (None, "tables"):
            found["tables"] = on_tables(Path(scratch), 2_000)
    return found


def report(found: Figures) -> None:
    for size, one in found.get("streams", {}).items():
        print(f"\n{int(size):,} accounts, {one['streams']} streams, {one['checks']} quiet checks")
        rows = {
            "ours": one,
            "PSI 0.1 / 0.25": one["psi"],
            "KS p < 0.05": one["ks"],
            "PSI, equal": one["psi"]["equal"],
            "KS, equal": one["ks"]["equal"],
        }
        for name, row in rows.items():
            print(
                f"  {name:16} false watch {row['false_watch']:6.1%}, retrain "
                f"{row['false_retrain']:6.1%}"
            )
        for kind in KINDS:
            print(f"  {kind}")
            for name, row in rows.items():
                print(
                    f"    {name:16} noticed {row['detected'][kind]:5.0%} after "
                    f"{row['months'][kind]:4.1f} months; acted {row['detected_retrain'][kind]:5.0%}"
                    f" after {row['months_retrain'][kind]:4.1f}"
                )
        print(
            f"  called by their name {one['named']}; behaviour called a fault {one['called_fault']}"
        )
    if "pass_ratio" in found:
        print(
            f"\n{found['rows']:,} accounts: counted in {found['pass_seconds']:.2f} s, scanned in "
            f"{found['scan_seconds']:.2f} s: {found['pass_ratio']:.2f} x the time, "
            f"{found['pass_ratio_cpu']:.2f} x the processor; {found['pass_peak_gib']:.2f} GiB "
            f"against {found['scan_peak_gib']:.2f}"
        )
    for kind, months in found.get("tables", {}).items():
        print(f"\nTables, {kind}")
        for day, said in months.items():
            print(f"  {day} {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="few streams, 300,000 rows")
    parser.add_argument("--streams", type=int, default=None, help="streams of each size")
    parser.add_argument("--sizes", type=int, nargs="*", default=None, help="accounts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=["streams", "pass", "tables"], default=None)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(child(asked.child[0], Path(asked.child[1]))))
        return
    sizes = QUICK if asked.quick else STREAMS
    sizes = {size: asked.streams or sizes.get(size, 4) for size in (asked.sizes or sizes)}
    found = measure(sizes, asked.jobs, 300_000 if asked.quick else PASS_ROWS, asked.only)
    if asked.json:
        print(json.dumps(found))
    else:
        report(found)


if __name__ == "__main__":
    main()
