"""What is written into vendors' exports after a date changes no feature of that date."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks._vendor_exports import EUR, export, export_combined, open_truth
from features.build import build_features
from features.builders.settings import SignalsSettings
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft
from pipelines.setup.drafting.vendors import Answers
from pipelines.setup.simulation.simulate import Simulation, simulate

DAY, LATER = date(2024, 6, 1), pd.Timedelta(days=9)
OWN_TIMES = ("created", "created_at", "created_date", "timestamp", "property_createdate")
TODAY = {
    "status": {"active": "past_due", "solved": "closed", "paid": "uncollectible"},
    "property_lifecyclestage": {"customer": "other"},
    "type": {"Customer": "Former Customer"},
    "stage_name": {"Prospecting": "Negotiation"},
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("truth")
    simulate(folder, Simulation(accounts=40, months=8, seed=6))
    with open_truth(folder) as connection:
        yield connection


def times_of(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns of times, those in seconds since 1970 too."""
    times = {name: rows[name] for name in rows if rows[name].dtype.kind == "M"}
    seconds = [name for name in OWN_TIMES if name in rows and rows[name].dtype.kind == "i"]
    return times | {name: pd.to_datetime(rows[name], unit="s") for name in seconds}


def scramble(file: Path, chance: np.random.Generator) -> int:
    """Move, drop and overwrite what is known only after the day; return how many values."""
    rows = pd.read_parquet(file)
    after = {name: times > pd.Timestamp(DAY) for name, times in times_of(rows).items()}
    for name, late in after.items():
        moved = rows[name] + (LATER if rows[name].dtype.kind == "M" else LATER.total_seconds())
        rows[name] = rows[name].where(~late, moved.astype(rows[name].dtype))
    for name, words in TODAY.items():
        if name in rows:
            rows[name] = rows[name].replace(words)
    own = next((name for name in OWN_TIMES if name in after), None)
    if own is not None:
        rows = rows[~after[own] | (chance.random(len(rows)) < 0.6)]
    rows.to_parquet(file, index=False)
    return int(sum(late.sum() for late in after.values()))


def features(folder: Path) -> pd.DataFrame:
    config = folder.parent / "h.toml"
    answers = Answers(currency="usd", rates={"eur": 1 / EUR})
    if not config.exists():
        write_draft(folder, config, answers=answers)
    project = load_project(config)
    with open_company(project) as company:
        return build_features(
            company, [DAY], project.settings.outcome, SignalsSettings(), labelled=False
        )


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["five tools", "salesforce-fivetran"])
def test_the_future_of_exports_changes_no_feature(truth: Any, layout: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    export_combined(truth, folder) if layout == "five tools" else export(truth, layout, folder)
    before = features(folder)
    chance = np.random.default_rng(3)
    assert sum(scramble(file, chance) for file in sorted(folder.glob("*.parquet"))) > 100
    # Rows are summed in another order where others are gone.
    pd.testing.assert_frame_equal(features(folder), before, rtol=0, atol=1e-12)
    assert len(before) > 20
    assert before.notna().any().mean() > 0.5
