"""What is learnt where contracts let accounts leave at times alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import expit, logit

from features.errors import DataError, RegistryError
from models.registry.serving import signature
from models.scoring.calibration import LogisticCalibrator
from models.scoring.health_model import HealthModel, model_input
from models.scoring.scorer import Scorer
from models.scoring.timing.decisions import Decisions
from models.scoring.timing.timing import Timing
from models.training.fit import fit_health_model
from models.training.holdout import band_table, risk_of
from models.training.learning import Learning, learn

WINDOW = Decisions(14, 44)
EARLY = 0.05


@pytest.fixture(scope="module")
def rows(make_company):
    """Half of the accounts on annual contracts, who leave when they renew and seldom before."""
    frame = make_company(accounts=1200)
    rng = np.random.default_rng(5)
    month = frame.groupby("account_id").cumcount().to_numpy()
    start = rng.integers(0, 12, 1200)[frame["account_id"].str[2:].astype(int)]
    annual = (frame["account_id"].str[2:].astype(int) % 2 == 0).to_numpy()
    ahead = np.where(annual, ((start - month) % 12) * 30.0 + 20, np.nan)
    frame = frame.assign(
        days_to_renewal=ahead, term_days=np.where(annual, 365.0, np.nan), truth=frame["truth"] + 0.7
    )
    risk = expit(frame["truth"]) * np.where(WINDOW.due(frame), 1.0, EARLY)
    return frame.assign(happened=(rng.random(len(frame)) < risk).astype("int8"))


def as_batch(rows: pd.DataFrame) -> pa.RecordBatch:
    table = pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()
    return table.to_batches()[0]


@pytest.fixture(scope="module")
def timed(rows, signals):
    return fit_health_model(rows, signals, Learning(maturity_days=44, decisions=WINDOW, seed=3))


def test_the_risk_at_a_decision_and_the_early_ones_are_met(timed, rows):
    last = rows[rows["observation_date"] >= "2025-07-01"]
    held_out, due = timed.holdout, WINDOW.due(last)
    assert held_out["due"].tolist() == due.tolist()
    for own in (due, ~due):
        risk = logit(held_out["probability_if_due"].to_numpy()[own])
        truth = last["truth"].to_numpy()[own]
        assert np.corrcoef(risk, truth)[0, 1] > 0.85
        assert expit(risk).mean() == pytest.approx(expit(truth).mean(), rel=0.2)
    assert timed.model.timing.shares == pytest.approx([EARLY] * 6, abs=0.06)
    share = held_out["probability"] / held_out["probability_if_due"]
    assert (share[due] == 1).all()
    assert share[~due].mean() == pytest.approx(EARLY, abs=0.03)


def test_rows_that_are_not_due_teach_the_timing_alone(timed, rows, signals):
    rest = ~WINDOW.due(rows)
    turned = rows.copy()
    turned.loc[rest, "happened"] = 1 - turned.loc[rest, "happened"]
    # Other values of the same make: what differs between those dates is of the calendar.
    turned.loc[rest, "usage_28d"] = turned.loc[rest, "usage_28d"].to_numpy()[::-1]
    other = fit_health_model(
        turned, signals, Learning(maturity_days=44, decisions=WINDOW, seed=3)
    ).model
    score, again = (Scorer(model).score(rows).table for model in (timed.model, other))
    assert score["score"].equals(again["score"])
    assert not score["probability"].equals(again["probability"])
    assert timed.model.weights == other.weights


def test_where_every_row_is_due_nothing_changes(frame, signals, result):
    how = Learning(maturity_days=44, seed=3)
    plain = learn(frame, signals, how)
    decided = replace(how, decisions=WINDOW)
    monthly = learn(frame.assign(days_to_renewal=20.0), signals, decided)
    assert plain.probability(frame).tolist() == monthly.probability(frame).tolist()
    table = Scorer(result.model).score(frame).table
    assert table["probability"].tolist() == table["probability_if_due"].tolist()
    assert result.holdout["due"].all()


def test_bands_and_scale_are_of_decisions(timed, rows):
    held_out = timed.holdout
    due = rows[WINDOW.due(rows)]
    lost = due["happened"].groupby(WINDOW.kinds(due)).agg(["sum", "mean"])
    most = lost["mean"][lost["sum"].idxmax()]
    assert timed.model.scale.anchor_probability == pytest.approx(most, rel=0.01)
    assert sum(band["rows"] for band in timed.bands) == held_out["due"].sum()
    first = held_out[held_out["due"] & (held_out["band"] == "at-risk")]
    assert timed.bands[0]["observed_rate"] == pytest.approx(first["happened"].mean())
    before = held_out.drop(columns=["due", "band", "probability_if_due"])
    assert risk_of(before).tolist() == held_out["probability"].tolist()
    assert sum(band["rows"] for band in band_table(before, timed.model.scale)) == len(held_out)


def test_the_calendar_is_no_input_and_one_calibration_is_fitted(rows, signals, monkeypatch):
    fitted, fit = [], LogisticCalibrator.fit

    def counted(calibrator, margin, *args):
        fitted.append(len(margin))
        return fit(calibrator, margin, *args)

    monkeypatch.setattr(LogisticCalibrator, "fit", counted)
    calendar = [
        replace(signals[0], name=name, group="profile", healthy="none")
        for name in ("days_to_renewal", "billed_lately")
    ]
    known = rows.assign(billed_lately=np.where(rows["days_to_renewal"] > 200, 1.0, np.nan))
    few = known["account_id"].str[2:].astype(int) % 12 == 1
    known = known[few | known["term_days"].notna()].reset_index(drop=True)
    learning = Learning(maturity_days=44, decisions=WINDOW, seed=3)
    learnt = learn(known, (*signals, *calendar), learning)
    assert learnt.signals == signals
    assert fitted == [len(learnt.selection.rows)]
    assert WINDOW.due(known.iloc[learnt.selection.rows]).all()


def test_batches_and_frames_are_scored_alike(timed, rows):
    table = Scorer(timed.model).score(rows).table
    batch = as_batch(rows)
    scored = Scorer(timed.model).score_batch(batch).to_pandas()
    for name in ("score", "probability", "probability_if_due", "baseline_score"):
        assert scored[name].to_numpy() == pytest.approx(table[name].to_numpy(), abs=1e-9)
    assert scored["band"].tolist() == table["band"].tolist()


def test_a_score_is_read_beside_the_usual_of_its_kind_of_term(timed, rows):
    model = timed.model
    table = Scorer(model).score(rows)
    risk = table.table["probability_if_due"].to_numpy()
    usual = np.array(model.scale.term_anchors)[WINDOW.kinds(rows)]
    expected = 50 + 10 * np.log2(usual / (1 - usual) * (1 - risk) / risk)
    assert table.table["score"].to_numpy() == pytest.approx(np.clip(expected, 0, 100), abs=1e-6)
    total = table.table["baseline_score"] + table.points.sum(axis=1)
    assert total.to_numpy() == pytest.approx(table.table["score"].to_numpy(), abs=1e-9)


def test_the_level_of_a_kind_is_in_every_reading(timed, rows, tmp_path):
    model = timed.model
    assert len(model.calibrator.levels_) == len(model.term_centres) == 5
    inputs = model_input(rows, model.signals, model.segments)
    margin, kind = model.classifier.decision_function(inputs), WINDOW.kinds(rows)
    levels = np.array(model.calibrator.levels_)
    plain = model.calibrator.log_odds(margin, inputs["segment"])
    told = logit(Scorer(model).score(rows).table["probability_if_due"])
    assert told.to_numpy() == pytest.approx(plain + levels[kind], abs=1e-9)
    model.save(tmp_path)
    assert '"format": 4' in (tmp_path / "health_model.json").read_text(encoding="utf-8")


def test_a_row_without_its_terms_is_refused(timed, rows):
    batch = as_batch(rows.drop(columns=["days_to_renewal"]))
    with pytest.raises(DataError, match="'days_to_renewal' is absent"):
        Scorer(timed.model).score_batch(batch)


def test_a_kept_model_says_the_same(timed, rows, tmp_path):
    timed.model.save(tmp_path)
    kept = HealthModel.load(tmp_path)
    assert kept.timing == timed.model.timing
    one, other = (Scorer(model).score(rows).table for model in (timed.model, kept))
    pd.testing.assert_frame_equal(one, other)
    asked = {column.name: str(column.type) for column in signature(kept).inputs}
    assert asked["days_to_renewal"] == asked["term_days"] == "DataType.double"


def test_a_kept_model_with_a_level_too_few_is_refused(timed, tmp_path):
    calibrator = LogisticCalibrator.from_dict(
        {**timed.model.calibrator.to_dict(), "levels": [0.0, 0.1]}
    )
    replace(timed.model, calibrator=calibrator).save(tmp_path)
    with pytest.raises(RegistryError, match="must have 5 levels, and has 2"):
        HealthModel.load(tmp_path)


def test_a_kept_model_with_an_impossible_share_is_refused(timed, tmp_path):
    replace(timed.model, timing=Timing(WINDOW, (2.0,) * 6)).save(tmp_path)
    with pytest.raises(RegistryError, match="must have 6 shares above 0 and up to 1"):
        HealthModel.load(tmp_path)
