"""Is it worth watching a champion and retraining it only when that is called for?

A simulated company is scored every month by the champion it had on that day. From some month on its
customers pay late, or one plan uses the product less, for reasons that make nobody leave. Three
ways of going on see the same tables:

``never``    the first champion serves to the end
``monthly``  every month a model is trained on all that has matured, and serves unseen
``ours``     ``healthscore monitor --retrain`` every month: what it decides is done, and a
             challenger serves only if the gate lets it

    python benchmarks/retraining.py [--quick] [--json] [--accounts N] [--seeds N ...]

By kind of drift, ``none`` beside them:

``excess``       log loss on the true probabilities beyond that of the truth itself, mean over the
                 rows of all scored dates, by way of going on
``after``        the same on dates from the drift on, with its 90 % interval over accounts
``ahead_never``, ``ahead_monthly``  loss of the others minus ours on those dates, paired, intervals
``trainings``    models trained after the first, by way of going on
``promoted``     how many of ours came to serve
``told``         status of every check of ours
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds a features.py, which must not stand in front of the package of that name.
sys.path.append(sys.path.pop(1))

import numpy as np
import pandas as pd
import tomlkit
from _companies import KEYS

from models.arrays import Floats
from models.measures.metrics import row_log_loss
from models.measures.resampling import AccountBootstrap
from models.registry.models import Registry
from models.scoring.scorer import Scorer
from models.training.fit import fit_health_model
from models.training.learning import Learning
from pipelines.monitor.monitor import monitor
from pipelines.project.project import Project, load_project
from pipelines.project.rows import labelled_rows, segment_settings
from pipelines.setup.draft import write_draft
from pipelines.setup.simulation.simulate import Simulation, simulate
from pipelines.training.train import train

START, MONTHS, FIRST, DRIFT = date(2023, 1, 1), 34, 16, 18
KINDS = ("none", "payment-crisis", "usage-collapse")
WAYS = ("never", "monthly", "ours")
RESAMPLES = 1_000
Figures = dict[str, Any]


def month(number: int) -> date:
    """First day of a month of the record."""
    years, months = divmod(number, 12)
    return date(START.year + years, months + 1, 1)


def until(path: Path, day: date) -> Project:
    """Read the configuration as on a day: what happened later is not known."""
    document: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    document["source"]["data_end"] = day
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return load_project(path)


def go_on(folder: Path, kind: str, accounts: int, seed: int) -> Figures:
    """Let a company live through a drift three times."""
    drifts: dict[str, Any] = {} if kind == "none" else {"drift": kind, "drift_from": month(DRIFT)}
    company = Simulation(accounts=accounts, seed=seed, start=START, months=MONTHS, **drifts)
    simulate(folder / "data", company)
    path = folder / "healthscore.toml"
    write_draft(folder / "data", path)
    rows = _scored_rows(folder, load_project(path))
    days = sorted(day for day in rows["observation_date"].unique() if day >= month(FIRST))
    first = train(until(path, days[0])).version
    served = {"never": dict.fromkeys(days, first)}
    told, trained = [], 0
    serving: dict[date, str] = {}
    for day in days:
        checked = monitor(until(path, day), None, retrain=True)
        after = checked.retrained
        serving[day] = checked.model_version if after is None else after.champion
        trained += after is not None and after.challenger is not None
        told.append(f"{day} {checked.decision.status}: {checked.decision.reasons[0]}")
        print(f"{kind}, seed {seed}: {told[-1]}", file=sys.stderr, flush=True)
    served["ours"] = serving
    project = load_project(path)
    risks = {way: _said(project, rows, by_day) for way, by_day in served.items()}
    risks["monthly"] = _monthly(project, rows, days)
    return {
        **_compared(rows, risks, days),
        "trainings": {"never": 0, "monthly": len(days), "ours": trained},
        "promoted": len(set(serving.values()) - {first}),
        "told": told,
    }


def _scored_rows(folder: Path, project: Project) -> pd.DataFrame:
    frame = labelled_rows(project).frame
    truth = pd.read_parquet(
        folder / "data" / "truth" / "rows.parquet", columns=[*KEYS, "churn_probability"]
    ).rename(columns={"churn_probability": "true_probability"})
    truth["observation_date"] = truth["observation_date"].astype(frame["observation_date"].dtype)
    rows = frame.merge(truth, on=KEYS, how="left", validate="1:1")
    rows["observation_date"] = [moment.date() for moment in rows["observation_date"]]
    return rows


def _said(project: Project, rows: pd.DataFrame, by_day: dict[date, str]) -> Floats:
    """Probability of every row by the version that served on its date; NaN before."""
    place = project.registry_folder, project.settings.registry.model_name
    models = {version: Registry(*place).version(version).model for version in set(by_day.values())}
    risk = np.full(len(rows), np.nan)
    for day, version in by_day.items():
        mask = (rows["observation_date"] == day).to_numpy()
        risk[mask] = Scorer(models[version]).score(_dated(rows[mask])).table["probability"]
    return risk


def _monthly(project: Project, rows: pd.DataFrame, days: list[date]) -> Floats:
    """Train on all that had matured by each date, without asking whether that is better."""
    signals = labelled_rows(project).signals
    matures = pd.Timedelta(days=project.settings.outcome.maturity_days)
    risk = np.full(len(rows), np.nan)
    moments = pd.to_datetime(rows["observation_date"])
    for day in days:
        known = _dated(rows[(moments + matures <= pd.Timestamp(day)).to_numpy()])
        model = fit_health_model(
            known,
            signals,
            Learning(
                maturity_days=matures.days,
                segments=segment_settings(project, signals),
                seed=project.settings.training.seed,
            ),
        ).model
        mask = (rows["observation_date"] == day).to_numpy()
        risk[mask] = Scorer(model).score(_dated(rows[mask])).table["probability"]
    return risk


def _dated(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(observation_date=pd.to_datetime(rows["observation_date"])).reset_index(
        drop=True
    )


def _compared(rows: pd.DataFrame, risks: dict[str, Floats], days: list[date]) -> Figures:
    scored = rows["observation_date"].isin(days).to_numpy()
    drifted = (rows["observation_date"] >= month(DRIFT)).to_numpy() & scored
    true = rows["true_probability"].to_numpy()
    floor = _expected(true, true)
    excess = {way: _expected(true, risk) - floor for way, risk in risks.items()}
    bootstrap = AccountBootstrap(rows["account_id"][drifted], resamples=RESAMPLES)

    def over(values: Floats) -> Figures:
        sums = bootstrap.sums(np.column_stack([values[drifted], np.ones(drifted.sum())]))
        low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.05, 0.95])
        return {"mean": float(values[drifted].mean()), "low": float(low), "high": float(high)}

    return {
        "rows": int(scored.sum()),
        "rows_after": int(drifted.sum()),
        "truth": float(floor[drifted].mean()),
        "excess": {way: float(excess[way][scored].mean()) for way in WAYS},
        "after": {way: over(excess[way]) for way in WAYS},
        **{f"ahead_{way}": over(excess[way] - excess["ours"]) for way in WAYS[:2]},
        "by_date": {
            way: {
                str(day): float(excess[way][(rows["observation_date"] == day).to_numpy()].mean())
                for day in days
            }
            for way in WAYS
        },
    }


def _expected(true: Floats, risk: Floats) -> Floats:
    """Mean log loss of each row over both outcomes it might have."""
    left = row_log_loss(np.ones(len(risk)), risk)
    return true * left + (1 - true) * row_log_loss(np.zeros(len(risk)), risk)


def report(found: Figures) -> None:
    """Print what was measured as a table for a terminal."""
    for name, one in found["companies"].items():
        print(
            f"\n{name}: {one['rows_after']:,} rows after the drift; log loss of the truth", end=""
        )
        print(f" {one['truth']:.4f}; beyond it:")
        for way in WAYS:
            loss, count = one["after"][way], one["trainings"][way]
            print(
                f"  {way:8} {loss['mean']:.4f} ({loss['low']:.4f} to {loss['high']:.4f}),"
                f" {count} trainings"
            )
        for way in WAYS[:2]:
            ahead = one[f"ahead_{way}"]
            print(
                f"  ours ahead of {way} by {ahead['mean']:+.4f}"
                f" ({ahead['low']:+.4f} to {ahead['high']:+.4f})"
            )
        print(f"  {one['promoted']} promoted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="400 accounts, one kind")
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[7])
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    accounts = 400 if asked.quick else asked.accounts
    kinds = ["payment-crisis"] if asked.quick else asked.kinds
    found: Figures = {"accounts": accounts, "companies": {}}
    for seed in asked.seeds:
        for kind in kinds:
            with tempfile.TemporaryDirectory() as scratch:
                one = go_on(Path(scratch), kind, accounts, seed)
            found["companies"][f"{kind}, seed {seed}"] = one
            # Each takes some minutes: what was found is not lost with the next.
            print(json.dumps(one), file=sys.stderr, flush=True)
    if asked.json:
        print(json.dumps(found))
    else:
        report(found)


if __name__ == "__main__":
    main()
