"""Contributions of many rows: the same in blocks, from tables and from codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.churn.classifier import ChurnClassifier
from models.training.coding import code_frame
from models.weights.contributions import contribution_blocks, summed_contributions

ROWS = 700


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
    frame.loc[::5, "b"] = np.nan
    frame["plan"] = np.array(["free", "pro"], dtype=object)[rng.integers(0, 2, ROWS)]
    happened = rng.random(ROWS) < 1 / (1 + np.exp(1 - frame["a"] - (frame["plan"] == "pro")))
    model = ChurnClassifier(n_rounds=12, tree_share=0.3, min_child_samples=10)
    return model.fit(frame, happened), frame


@pytest.mark.parametrize("many", [0, 10**9])
@pytest.mark.parametrize("coded", [False, True])
def test_blocks_add_up_to_the_whole(fitted, monkeypatch, many, coded):
    monkeypatch.setattr("models.weights.contributions.MANY", many)
    monkeypatch.setattr("models.churn.encoding.BLOCK", 256)
    model, frame = fitted
    rows = code_frame(frame) if coded else frame
    found = np.full((ROWS, 4), np.nan)
    for where, part in contribution_blocks(model, rows):
        found[where] = part
    assert found == pytest.approx(model.contributions(frame), abs=1e-6)
    cell = np.arange(ROWS) % 3
    sums, counts = summed_contributions(model, rows, cell, 4)
    wanted = [model.contributions(frame)[cell == one].sum(axis=0) for one in range(4)]
    assert sums == pytest.approx(np.array(wanted), abs=1e-3)
    assert counts.tolist() == [234, 233, 233, 0]


def test_a_model_without_trees_has_those_of_its_backbone(fitted):
    _, frame = fitted
    happened = frame["a"] > 0
    model = ChurnClassifier(n_rounds=0).fit(frame, happened)
    ((where, found),) = contribution_blocks(model, frame)
    assert where == slice(0, ROWS)
    assert found == pytest.approx(model.contributions(frame), abs=1e-12)
