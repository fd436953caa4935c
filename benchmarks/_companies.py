"""Simulated companies whose truth is known, as labelled feature tables kept on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.catalog import Signal
from models.training.splits import Fold, left_alone, time_holdout

KEYS = ["account_id", "observation_date"]
TABLE, ABOUT = "features.parquet", "about.json"


@dataclass(frozen=True)
class Company:
    """What training would read, and what only a simulator can tell.

    ``frame`` holds the labelled rows of every matured date and ``true_probability``; ``segments``
    the drafted section of that name; ``true_weights`` the simulator's share of each signal group by
    segment, in points of 100.
    """

    frame: pd.DataFrame
    signals: tuple[Signal, ...]
    maturity_days: int
    segments: dict[str, Any]
    true_weights: dict[str, dict[str, float]]

    @property
    def names(self) -> list[str]:
        return [signal.name for signal in self.signals]

    def holdout(self) -> Fold:
        """Split as ``healthscore train`` does: the newest dates, and what had matured by then.

        Rows that somebody acted on teach, and judge nothing.
        """
        fold = time_holdout(self.frame["observation_date"], self.maturity_days)
        return Fold(fold.train, fold.test[left_alone(self.frame)[fold.test]])


def write_company(folder: Path, accounts: int, seed: int) -> dict[str, Any]:
    """Simulate a company, draft its configuration as for a stranger's and build its signals."""
    from pipelines.project.project import load_project
    from pipelines.project.rows import labelled_rows
    from pipelines.setup.draft import write_draft
    from pipelines.setup.simulation.simulate import Simulation, simulate

    shutil.rmtree(folder, ignore_errors=True)
    simulate(folder / "data", Simulation(accounts=accounts, seed=seed))
    write_draft(folder / "data", folder / "healthscore.toml")
    project = load_project(folder / "healthscore.toml")
    rows = labelled_rows(project)
    frame, signals = rows.frame, rows.signals
    truth = pd.read_parquet(
        folder / "data" / "truth" / "rows.parquet", columns=[*KEYS, "churn_probability"]
    ).rename(columns={"churn_probability": "true_probability"})
    truth["observation_date"] = truth["observation_date"].astype(frame["observation_date"].dtype)
    frame = frame.merge(truth, on=KEYS, how="left", validate="1:1")
    if frame["true_probability"].isna().any():
        raise SystemExit("The truth does not cover every labelled row.")
    frame.to_parquet(folder / TABLE)
    drafted = project.settings.segments
    told = json.loads((folder / "data" / "truth" / "weights.json").read_text(encoding="utf-8"))
    about = {
        "signals": [signal.to_dict() for signal in signals],
        "maturity_days": project.settings.outcome.maturity_days,
        "segments": drafted.model_dump(include={"columns", "min_rows", "min_positives"}),
        # The simulator's segments are plans; the draft splits by that column.
        "true_weights": {f"plan={plan}": shares for plan, shares in told["weights"].items()},
    }
    shutil.rmtree(folder / "data")
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    return {
        "rows": len(frame),
        "positives": int(frame["happened"].sum()),
        "content": hashlib.sha256((folder / TABLE).read_bytes()).hexdigest()[:16],
    }


def read_company(folder: Path, newest_dates: int | None = None) -> Company:
    """Read a company back, or the rows of its newest dates alone."""
    about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    frame = pd.read_parquet(folder / TABLE)
    if newest_dates is not None:
        dates = frame["observation_date"].drop_duplicates().nlargest(newest_dates)
        frame = frame[frame["observation_date"].isin(dates)].reset_index(drop=True)
    return Company(
        frame=frame,
        signals=tuple(Signal.from_dict(signal) for signal in about["signals"]),
        maturity_days=about["maturity_days"],
        segments=about["segments"],
        true_weights=about["true_weights"],
    )
