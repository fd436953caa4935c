"""The reference against pandas, and its design effects against the bootstrap of accounts."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from features.errors import DataError, RegistryError
from models.drift.reference import Reference, fit_reference, frame_histograms, nonzero_quantiles

SIGNALS = (
    Signal("usage", "usage", "count", "higher", "Usage", 28, "{value} uses"),
    Signal("plan", "profile", "category", "none", "Plan", None, "Plan is {value}"),
)


def rows(accounts: int = 60, dates: int = 5, persists: float = 0.8) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    own = rng.normal(size=accounts)
    frames = []
    for month in range(dates):
        own = persists * own + (1 - persists**2) ** 0.5 * rng.normal(size=accounts)
        known = rng.random(accounts) < 0.8
        frames.append(
            pd.DataFrame(
                {
                    "account_id": [f"A{i}" for i in range(accounts)],
                    "observation_date": pd.Timestamp(2025, month + 1, 1),
                    "usage": np.where(known, np.exp(own), np.nan),
                    "plan": rng.choice(["pro", "free", None], accounts),
                    "segment": np.where(np.arange(accounts) % 3, "small", "large"),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def test_counts_are_those_of_pandas() -> None:
    frame = rows()
    reference = fit_reference(frame, SIGNALS, frame["segment"])
    assert reference.segments == ("all", "large", "small")
    assert reference.dates == tuple(date(2025, month, 1) for month in range(1, 6))
    counts = reference.signals["usage"]
    for place, segment in enumerate(reference.segments):
        part = frame if segment == "all" else frame[frame["segment"] == segment]
        code = pd.Series(counts.bins.codes(part["usage"]), index=part.index)
        table = pd.crosstab(part["observation_date"], code)
        table = table.reindex(columns=range(counts.bins.size), fill_value=0)
        assert counts.table[place].tolist() == table.to_numpy().tolist()
    assert reference.mix.table[0, 0].tolist() == [20, 40, 0, 0]


def test_design_effects_are_what_resampled_accounts_show() -> None:
    frame = rows(accounts=400, dates=6)
    counts = fit_reference(frame, SIGNALS, frame["segment"]).signals["usage"]
    codes = counts.bins.codes(frame["usage"]).reshape(6, 400)
    rng = np.random.default_rng(0)
    share = []
    for _ in range(800):
        drawn = codes[:, rng.integers(400, size=400)]
        share.append((drawn == counts.bins.size - 1).mean())
    missing = np.mean(codes == counts.bins.size - 1)
    expected = np.var(share) / (missing * (1 - missing) / codes.size)
    assert counts.effects[0, 2] == pytest.approx(max(expected, 1.0), rel=0.15)
    # Values persist, so six dates are worth far less than six times the accounts.
    assert 2 < counts.effects[0, 1] < 6


def test_the_same_rows_each_month_count_once() -> None:
    frame = rows(dates=1)
    four = [frame.assign(observation_date=pd.Timestamp(2025, m, 1)) for m in (1, 2, 3, 4)]
    repeated = pd.concat(four, ignore_index=True)
    counts = fit_reference(repeated, SIGNALS, repeated["segment"]).signals["usage"]
    assert counts.effects[0, :2] == pytest.approx([4.0, 4.0], rel=0.05)


def test_a_reference_survives_json() -> None:
    frame = rows()
    score = np.linspace(0, 100, len(frame))
    reference = fit_reference(frame, SIGNALS, frame["segment"], score=score)
    again = Reference.from_dict(json.loads(json.dumps(reference.to_dict(), allow_nan=False)))
    assert again.to_dict() == reference.to_dict()
    assert again.counts.keys() == {"usage", "plan", "score"}
    assert again.groups == {"usage": "usage", "plan": "profile"}
    assert again.score is not None
    assert again.score.table[0].sum() == len(frame)


def test_a_reference_without_groups_is_read() -> None:
    frame = rows()
    described = fit_reference(frame, SIGNALS, frame["segment"]).to_dict()
    del described["groups"]
    assert Reference.from_dict(described).groups == {}


def test_later_rows_are_counted_in_the_same_bins() -> None:
    frame = rows()
    reference = fit_reference(frame, SIGNALS, frame["segment"])
    now = frame.iloc[:7].assign(segment="new", plan="gold").drop(columns="usage")
    found = frame_histograms(reference, now, now["segment"])
    assert (found.rows, found.absent, found.mix.tolist()) == (7, ("usage",), [0, 0, 7, 0])
    assert found.tables["plan"].tolist() == [[0, 0, 7, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_nobody_can_be_counted() -> None:
    frame = rows()
    reference = fit_reference(frame, SIGNALS, frame["segment"])
    found = frame_histograms(reference, frame.iloc[:0], [])
    assert found.rows == 0
    assert not found.tables["usage"].any()


def test_zero_and_missing_values_have_no_quantiles() -> None:
    few = np.array([0.0] * 50 + [np.nan, np.inf] + [5.0] * 19)
    assert np.isnan(nonzero_quantiles(few)).all()
    assert (nonzero_quantiles(np.append(few, 5.0)) == 5.0).all()


def test_an_absent_column_and_no_rows_are_said() -> None:
    frame = rows()
    with pytest.raises(DataError, match="every column the model reads, but 'plan' is absent"):
        fit_reference(frame.drop(columns="plan"), SIGNALS, frame["segment"])
    with pytest.raises(DataError, match="at least one training row, but got none"):
        fit_reference(frame.iloc[:0], SIGNALS, [])


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"format": 99}, "has format 99, but this version reads format 1"),
        ({"format": 1}, r"cannot be read \(KeyError: 'score'\)"),
        ({}, r"cannot be read \(KeyError: 'format'\)"),
        ([], r"cannot be read \(TypeError"),
    ],
)
def test_an_unreadable_reference_is_said(described: object, said: str) -> None:
    with pytest.raises(RegistryError, match=said):
        Reference.from_dict(described)  # type: ignore[arg-type]
