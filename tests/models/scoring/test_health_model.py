from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from features.errors import DataError, RegistryError
from models.scoring.health_model import HealthModel
from models.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def model(result):
    return result.model


@pytest.fixture(scope="module")
def scored(model, frame):
    return Scorer(model).score(frame)


def test_score_is_baseline_and_points(scored, signals):
    total = scored.table["baseline_score"] + scored.points.sum(axis=1)
    assert total.to_numpy() == pytest.approx(scored.table["score"].to_numpy(), abs=1e-9)
    assert scored.points.shape == (len(scored.table), len(signals))
    groups = scored.group_points().sum(axis=1).to_numpy()
    assert groups == pytest.approx(scored.points.sum(axis=1), abs=1e-9)


def test_score_band_and_grade_follow_the_probability(scored, model):
    table = scored.table
    log_odds = logit(table["probability"].to_numpy())
    anchor = logit(model.scale.anchor_probability)
    expected = np.clip(50 - 10 * (log_odds - anchor) / np.log(2), 0, 100)
    assert table["score"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert (table["band"] == model.scale.band(table["probability"].to_numpy())).all()
    assert table["score"].between(0, 100).all()


def test_probability_is_the_calibrated_margin(scored, model, frame):
    names = [signal.name for signal in model.signals]
    segment = scored.table["segment"].to_numpy()
    inputs = frame[names].assign(segment=segment)
    log_odds = model.calibrator.log_odds(model.classifier.decision_function(inputs), segment)
    expected = expit(log_odds)
    assert scored.table["probability"].to_numpy() == pytest.approx(expected, abs=1e-9)


def test_points_are_counted_from_the_mean_of_the_segment(model, scored, frame):
    segment = scored.table["segment"]
    inputs = frame[[signal.name for signal in model.signals]].assign(segment=segment)
    means = pd.DataFrame(model.classifier.contributions(inputs)).groupby(segment).mean()
    for name, mean in means.iterrows():
        assert model.centres[name] == pytest.approx(mean.to_numpy(), abs=1e-9)
    margins = pd.Series(model.classifier.decision_function(inputs)).groupby(segment).mean()
    lines = model.calibrator.log_odds(margins.to_numpy(), margins.index)
    expected = pd.Series(model.scale.score(lines), margins.index)
    assert scored.table["baseline_score"].to_numpy() == pytest.approx(
        segment.map(expected).to_numpy(dtype=float), abs=1e-9
    )


def test_order_and_extra_columns_do_not_matter(scored, model, frame):
    mixed = frame.sample(frac=1, random_state=1)[frame.columns[::-1]].assign(more=1)
    again = Scorer(model).score(mixed)
    assert again.table["score"].to_numpy() == pytest.approx(
        scored.table["score"].to_numpy()[mixed.index], abs=1e-9
    )
    assert again.table["account_id"].tolist() == mixed["account_id"].tolist()


def test_single_row_and_no_row(model, frame, scored):
    alone = Scorer(model).score(frame.iloc[[5]])
    assert alone.table["score"].iloc[0] == pytest.approx(scored.table["score"].iloc[5], abs=1e-9)
    nobody = Scorer(model).score(frame.iloc[:0])
    assert nobody.table.empty
    assert nobody.reasons() == []
    assert list(nobody.table.columns) == list(scored.table.columns)


def test_all_unknown_row_scores_with_no_coverage(model, frame):
    row = frame.iloc[[0]].copy()
    for signal in model.signals:
        row[signal.name] = None
    found = Scorer(model).score(row).table.iloc[0]
    assert found["coverage"] == 0
    assert 0 < found["score"] < 100


def test_coverage_falls_with_what_weighs(model, frame):
    full = (
        Scorer(model).score(frame.dropna(subset=["usage_change", "billing_period"]).iloc[:20]).table
    )
    assert full["coverage"].to_numpy() == pytest.approx(1, abs=1e-9)
    rows = frame.iloc[:20]
    seeing = Scorer(model).score(rows).table
    blind = Scorer(model).score(rows.assign(usage_28d=np.nan)).table
    weights = [model.signal_weights[name]["usage_28d"] / 100 for name in blind["segment"]]
    fallen = seeing["coverage"] - blind["coverage"]
    assert fallen.to_numpy() == pytest.approx(np.array(weights), abs=1e-9)
    assert min(weights) > 0.1


def test_unseen_segment_is_everybody(model, frame):
    found = Scorer(model).score(frame.iloc[:3].assign(plan="gold", tenure_days=500.0))
    assert found.table["segment"].tolist() == ["all"] * 3
    assert np.isfinite(found.points).all()


def test_silent_signals_have_no_points_and_no_weight(scored, model):
    names = [signal.name for signal in model.signals]
    for name in ("never_known", "always_one"):
        assert (scored.points[:, names.index(name)] == 0).all()
        assert model.signal_weights["all"][name] == 0


def test_weights_sum_to_a_hundred_and_leave_the_profile_out(model):
    for shares in model.weights.values():
        assert sum(shares.values()) == pytest.approx(100)
        assert "profile" not in shares
    assert model.weights["plan=starter"]["usage"] > 60
    assert model.weights["plan=enterprise"]["support"] > 60


def test_reasons_speak_of_the_row(scored, frame):
    first = scored.reasons(limit=2)
    assert all(len(row) <= 2 for row in first)
    assert first[0][0].sentence.endswith("points")
    sizes = [[abs(reason.points) for reason in row] for row in first]
    assert all(row == sorted(row, reverse=True) for row in sizes)


def test_save_and_load_are_exact(model, frame, scored, tmp_path):
    model.save(tmp_path / "model")
    again = HealthModel.load(tmp_path / "model")
    found = Scorer(again).score(frame)
    pd.testing.assert_frame_equal(found.table, scored.table, check_exact=True)
    assert (found.points == scored.points).all()
    again.save(tmp_path / "twice")
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert len(files) == 3 + (model.classifier.booster_ is not None)
    for file in files:
        other = tmp_path / "twice" / file.relative_to(tmp_path / "model")
        assert other.read_bytes() == file.read_bytes()


def test_missing_columns_are_named(model, frame):
    with pytest.raises(DataError, match="'usage_28d' is absent; build them with the settings"):
        Scorer(model).score(frame.drop(columns="usage_28d"))
    with pytest.raises(DataError, match="no column 'plan'"):
        Scorer(model).score(frame.drop(columns="plan"))


@pytest.mark.parametrize("value", [np.inf, -np.inf, "many"])
def test_what_is_no_number_is_named(model, frame, value):
    bad = frame.assign(tickets_90d=frame["tickets_90d"].astype(object))
    bad.loc[3, "tickets_90d"] = value
    with pytest.raises(DataError, match="Signal 'tickets_90d' must hold finite numbers"):
        Scorer(model).score(bad)


def test_hostile_categories_are_data(model, frame):
    hostile = ["<script>", "'; drop table", "\x00", "日本", ""]
    found = Scorer(model).score(frame.iloc[:5].assign(billing_period=hostile))
    assert np.isfinite(found.table["score"]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no usable model"),
        ("not json", "holds no usable model"),
        ("[1]", "holds no usable model"),
        ('{"format": 99}', "has format 99, but this version reads formats 2 to 4"),
    ],
)
def test_a_broken_folder_is_one_sentence(tmp_path, text, message):
    (tmp_path / "health_model.json").write_text(text)
    with pytest.raises(RegistryError, match=message):
        HealthModel.load(tmp_path)


def test_an_empty_folder_and_lost_trees(model, tmp_path):
    with pytest.raises(RegistryError, match="holds no usable model"):
        HealthModel.load(tmp_path)
    model.save(tmp_path)
    described = json.loads((tmp_path / "health_model.json").read_text())
    described["classifier"]["settings"]["n_rounds"] = 10
    (tmp_path / "seal.json").unlink()
    (tmp_path / "health_model.json").write_text(json.dumps(described))
    (tmp_path / "correction.txt").unlink(missing_ok=True)
    with pytest.raises(RegistryError, match="holds no usable model"):
        HealthModel.load(tmp_path)
