"""Bands that do not flip: held against the rule said account by account."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.errors import StoreError
from models.scoring.scale import ScoreScale
from pipelines.scoring.bands.settled import (
    AFTER,
    LARGE,
    MOST_DAYS,
    bands_before,
    bands_of,
    run_before,
    settled,
    told_after,
)
from pipelines.store.opening import open_store
from pipelines.store.runs import Run, RunKey
from tests.pipelines.issued import DAY, KEY, batch, configured, issue

SCALE = ScoreScale(0.05, at_risk_from=0.0952, watch_from=0.0452)
GROWTH = replace(SCALE, good=True)


def by_hand(scale: ScoreScale, band: int, before: float, score: float) -> int:
    """Leave a band step by step, as long as the step is large or was taken before too."""

    def lies(at: float) -> int:
        return int(scale.position_of(np.array([at]))[0])

    now, was = lies(score), lies(before)
    while now != band:
        step = 1 if now > band else -1
        limits = sorted(scale.limits, reverse=scale.good)
        limit = limits[band - 1] if step < 0 else limits[band]
        is_large = abs(score - limit) > LARGE
        is_lasting = (was - band) * step > 0
        if not (is_large or is_lasting):
            return band
        band += step
    return band


@pytest.mark.parametrize("scale", [SCALE, GROWTH])
def test_a_band_changes_only_by_what_is_large_or_lasting(scale: ScoreScale) -> None:
    rng = np.random.default_rng(2)
    band = rng.integers(0, 3, 4000)
    before, score = rng.uniform(20, 70, (2, 4000))
    told = settled(scale, band, before, score)
    expected = [
        by_hand(scale, *row)
        for row in zip(band.tolist(), before.tolist(), score.tolist(), strict=True)
    ]
    assert told.tolist() == expected


def test_what_wobbles_about_a_limit_stays_and_what_lasts_moves() -> None:
    limit = SCALE.limits[0]
    band, scores = np.array([1]), limit + np.array([2.0, -2.0, 2.0, -2.0, -2.0, 2.0, 9.0])
    bands = []
    for before, score in pairwise(scores):
        band = settled(SCALE, band, np.array([before]), np.array([score]))
        bands.append(int(band[0]))
    assert bands == [1, 1, 1, 0, 0, 1]


def scored(**scores: float) -> pa.RecordBatch:
    names = list(scores)
    rows = batch(names, score=list(scores.values()), band=["watch"] * len(names))
    return rows.drop_columns(["band_days"])


def test_bands_and_days_follow_those_of_the_run_before(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    given = {"A": 38.0, "B": 60.0, "C": 39.0}
    held = batch(
        list(given),
        score=list(given.values()),
        band=["at-risk", "healthy", "watch"],
        band_days=[21.0, None, 7.0],
    )
    issue(project, held, key=RunKey("main", DAY, "1"))
    later = RunKey("main", DAY + timedelta(days=7), "2")
    with open_store(project, read_only=True) as store:
        earlier = run_before(store, later)
        assert earlier is not None
        assert earlier.key.as_of == DAY
        bands = bands_of(store, earlier, later.as_of)
        rows = bands.settle(scored(A=42.0, B=50.0, C=38.0, D=30.0), SCALE).to_pydict()
        assert rows["band"] == ["at-risk", "healthy", "at-risk", "at-risk"]
        assert rows["band_days"] == [28.0, 7.0, 0.0, 0.0]
        run = Run(later, 1, earlier.issued_at, 4, {AFTER: told_after(earlier)})
        again = bands_before(store, run)
        assert again is not None
        assert again.settle(scored(A=42.0), SCALE)["band"].to_pylist() == ["at-risk"]


def test_a_run_follows_the_last_of_an_earlier_date_unless_that_is_long_ago(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    for days in (0, 30, 60):
        issue(project, batch(["A"]), key=replace(KEY, as_of=DAY + timedelta(days=days)))
    with open_store(project, read_only=True) as store:
        for days, expected in ((30, 0), (31, 30), (60, 30), (61 + MOST_DAYS, None)):
            run = run_before(store, replace(KEY, as_of=DAY + timedelta(days=days)))
            assert (run and (run.key.as_of - DAY).days) == expected
        first = bands_of(store, None, DAY).settle(scored(A=30.0), SCALE)
        assert (first["band"].to_pylist(), first["band_days"].to_pylist()) == (["at-risk"], [0.0])


def test_runs_of_earlier_versions_and_runs_that_are_gone_are_told_apart(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    with open_store(project, read_only=True) as store:
        (run,) = store.runs()
        assert bands_before(store, replace(run, facts={})) is None
        first = bands_before(store, replace(run, facts={AFTER: ""}))
        assert first is not None
        assert len(first.accounts) == 0
        gone = replace(run, facts={AFTER: '{"as_of": "2020-01-01"}'})
        with pytest.raises(StoreError, match=r"follow those of the run .*2020-01-01.* no longer"):
            bands_before(store, gone)
