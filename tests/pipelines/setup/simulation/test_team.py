"""A simulated team: its plays do what its truth says, and without one nothing is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.setup.simulation.behaviour import PLAYS
from pipelines.setup.simulation.company import PLANS
from pipelines.setup.simulation.simulate import Simulation, simulate
from pipelines.setup.simulation.team import DAYS, EFFECTS, answer

SMALL = Simulation(accounts=400, months=10, seed=3)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("team") / "company"
    simulate(folder, replace(SMALL, team=True))
    return folder


def test_the_truth_is_shifted_by_the_play_that_was_made(company: Path) -> None:
    rows = pd.read_parquet(company / "truth" / "rows.parquet")
    acts = pd.read_parquet(company / "interventions.parquet")
    acts["observation_date"] = acts["occurred_at"].dt.to_period("M").dt.to_timestamp()
    late = acts["occurred_at"] - acts["observation_date"]
    assert late.max() < pd.Timedelta(days=DAYS)
    assert not acts.duplicated(["account_id", "observation_date"]).any()
    for frame in (rows, acts):
        frame["observation_date"] = frame["observation_date"].astype("datetime64[us]")
    both = rows.merge(acts, on=["account_id", "observation_date"], how="left")
    told = json.loads((company / "truth" / "weights.json").read_text(encoding="utf-8"))
    assert told["effects"] == EFFECTS
    assert told["simulation"]["team"] is True
    shift = [
        0.0 if pd.isna(play) else told["effects"][play][plan]
        for play, plan in zip(both["play"], both["segment"], strict=True)
    ]
    expected = 1 / (1 + np.exp(-both["log_odds"] - np.array(shift)))
    assert np.allclose(both["churn_probability"], expected, rtol=1e-9)
    assert 0.03 < both["play"].notna().mean() < 0.4


def test_a_team_acts_on_what_looks_risky(company: Path) -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-3, 1.5, 4000)
    at_stake = rng.random(4000) < 0.9
    found = answer(log_odds, at_stake, np.zeros(4000, dtype=np.int64), 100, rng)
    assert not found.acted[~at_stake].any()
    assert log_odds[found.acted].mean() > log_odds.mean() + 0.5
    assert (found.shift[~found.acted] == 0).all()
    harmful = found.acted & (found.play == PLAYS.index("discount"))
    assert set(found.shift[harmful]) == {0.6}


def test_every_play_and_plan_has_an_effect_one_none_and_one_harm() -> None:
    assert set(EFFECTS) == set(PLAYS)
    assert all(set(by_plan) == {plan.name for plan in PLANS} for by_plan in EFFECTS.values())
    assert any(set(by_plan.values()) == {0.0} for by_plan in EFFECTS.values())
    assert any(min(by_plan.values()) > 0 for by_plan in EFFECTS.values())
