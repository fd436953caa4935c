"""Rows as codes: the same values, fewer bytes, no copies; and the same models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.churn.classifier import ChurnClassifier
from models.churn.coded import BLOCK, CodedColumn, CodedMatrix, CodedTable
from models.churn.design import Design, DesignRows
from models.churn.encoding import SignalEncoder
from models.churn.segments import SegmentSettings, assign_segments
from models.training.coding import MOST_VALUES, code_frame, code_pieces, code_table

ROWS = 1_500


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    plan = np.array(["free", "pro", None], dtype=object)[rng.integers(0, 3, ROWS)]
    logins = rng.poisson(3, ROWS).astype(float)
    rows = pd.DataFrame(
        {
            "account_id": [f"A{number:05d}" for number in rng.permutation(ROWS)],
            "observation_date": pd.to_datetime("2025-01-01")
            + pd.to_timedelta(30 * rng.integers(0, 4, ROWS), unit="D"),
            "logins": np.where(rng.random(ROWS) < 0.2, np.nan, logins),
            "spend": rng.lognormal(size=ROWS),
            "rare": (rng.random(ROWS) < 0.02).astype(float),
            "plan": plan,
            "tenure_days": rng.integers(0, 900, ROWS).astype(float),
        }
    )
    risk = 1 / (1 + np.exp(1 + logins - rows["spend"]))
    return rows.assign(happened=(rng.random(ROWS) < risk).astype("int8"))


def signals(frame):
    names = ["logins", "spend", "rare", "plan"]
    return frame.select(names) if isinstance(frame, CodedTable) else frame[names]


def test_a_table_holds_what_the_frame_held(frame):
    table = code_frame(frame)
    again = table.frame()
    assert list(again) == list(frame)
    for name in frame:
        known = frame[name].notna()
        assert (again[name].notna() == known).all()
        assert (again[name][known] == frame[name][known]).all()
    assert table.column("logins").codes.dtype == np.uint8
    assert table.column("spend").codes.dtype == np.uint16
    assert "spend" in table
    assert "nothing" not in table


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_codes_do_not_depend_on_how_rows_arrive(frame, size):
    few = frame.iloc[:40]
    whole = pa.Table.from_pandas(few, preserve_index=False)
    table = code_table(whole.schema, whole.to_batches(size), ["observation_date", "account_id"])
    wanted = few.sort_values(["observation_date", "account_id"])
    for name in few:
        assert table[name].astype(str).tolist() == wanted[name].astype(str).tolist()


def test_numbers_of_too_many_values_are_held_as_they_are():
    count = MOST_VALUES + 10
    numbers = np.arange(count) / 7
    rows = pa.record_batch({"x": numbers, "y": np.arange(count) % 300})
    table = code_table(rows.schema, [rows[:100], rows[100:], rows[:5]])
    assert table.column("x").codes is None
    assert table["x"].tolist() == [*numbers, *numbers[:5]]
    assert table.column("y").codes.dtype == np.uint16


def test_every_way_not_to_be_a_number_is_one():
    rows = pa.record_batch({"x": pa.array([None, float("nan"), -float("nan"), 0.0, -0.0])})
    column = code_table(rows.schema, [rows]).column("x")
    assert len(column.values) == 2
    assert np.isnan(column.at(slice(None))).tolist() == [True, True, True, False, False]


def test_pieces_are_joined_by_the_place_of_their_rows():
    one = pa.table({"at": [2, 0, 1], "account_id": ["c", "a", "b"]})
    two = pa.table({"at": [1, 2, 0], "seats": [20, 30, None]})
    table = code_pieces([one.to_reader(), two.to_reader(1)], "at")
    assert table.columns == ("account_id", "seats")
    assert table["account_id"].tolist() == ["a", "b", "c"]
    assert table["seats"].fillna(-1).tolist() == [-1, 20, 30]


def test_rows_of_rows_are_positions_alone(frame):
    table = code_frame(frame)
    some = np.array([5, 3, 1400, 3])
    part = table.take(some).take(np.array([True, False, True, True]))
    assert part["spend"].tolist() == frame["spend"].iloc[[5, 1400, 3]].tolist()
    assert part.column("spend") is table.column("spend")
    named = part.with_texts("segment", np.array([1, 0, 1]), ["a", "b"])
    assert named["segment"].tolist() == ["b", "a", "b"]
    assert named.take(slice(1, 2))["segment"].tolist() == ["a"]


def test_a_matrix_reads_like_an_array():
    rng = np.random.default_rng(0)
    count = BLOCK + 77
    columns = [
        CodedColumn(rng.normal(size=200), rng.integers(0, 200, count).astype(np.uint8)),
        CodedColumn(rng.normal(size=count)),
    ]
    whole = np.column_stack([column.at(slice(None)) for column in columns])
    places = rng.permutation(count)[:1000]
    for matrix, wanted in (
        (CodedMatrix(columns), whole),
        (CodedMatrix(columns).take(places), whole[places]),
        (CodedMatrix(columns).take(places).take(slice(5, 9)), whole[places][5:9]),
    ):
        assert matrix.shape == wanted.shape
        assert (matrix[:] == wanted).all()
        assert (matrix[:, 1] == wanted[:, 1]).all()
        assert (matrix[np.array([2, 0])] == wanted[[2, 0]]).all()
        mask = np.arange(len(wanted)) % 3 == 1
        assert (matrix[mask] == wanted[mask]).all()


def test_encoders_read_codes_as_they_read_frames(frame):
    part = np.arange(0, ROWS, 2)
    table = code_frame(frame).take(part)
    frame = frame.take(part)
    settings = SegmentSettings(("plan",), (("new", 100), ("old", None)), min_rows=50)
    assert assign_segments(table, settings) == assign_segments(frame, settings)
    encoder = SignalEncoder.fit(signals(frame), None)
    assert SignalEncoder.fit(signals(table), None) == encoder
    dense, coded = encoder.transform(signals(frame)), encoder.transform(signals(table))
    assert np.array_equal(coded.values, dense.values, equal_nan=True)
    assert len(coded) == len(part)
    few = np.array([3, 1])
    assert np.array_equal(coded.take(few).values, dense.take(few).values, equal_nan=True)


def test_a_design_is_the_same_kept_or_made_anew(frame, monkeypatch):
    data = SignalEncoder.fit(signals(frame), None).transform(signals(code_frame(frame)))
    design = Design.fit(data.matrix, [3])
    kept = DesignRows(design, data.matrix)
    monkeypatch.setattr("models.churn.design.MOST_KEPT", 0)
    anew = DesignRows(design, data.matrix)
    for rows in (slice(10, 900), np.array([4, 2, 2])):
        assert (kept[rows] == anew[rows]).all()


@pytest.mark.parametrize("shape", [{"n_rounds": 15}, {"tree_share": 1.0, "tree_rounds": 15}])
def test_a_model_of_codes_is_the_model_of_the_frame(frame, monkeypatch, shape):
    # Rows come in several blocks, and the design is made anew for each pass.
    monkeypatch.setattr("models.churn.encoding.BLOCK", 400)
    monkeypatch.setattr("models.churn.trees.BLOCK", 400)
    monkeypatch.setattr("models.churn.design.MOST_KEPT", 0)
    happened = frame["happened"].to_numpy()
    of_codes, of_frame = (
        ChurnClassifier(**shape).fit(signals(rows), happened) for rows in (code_frame(frame), frame)
    )
    # A signal with fewer such rows than a leaf must have is no signal to LightGBM.
    assert frame["rare"].sum() < of_frame.min_child_samples
    assert of_codes.correction_text() == of_frame.correction_text()
    for rows in (frame, code_frame(frame)):
        told = of_codes.decision_function(signals(rows))
        assert told == pytest.approx(of_frame.decision_function(signals(frame)), abs=1e-12)
    with pytest.raises(ValueError, match="0 sample"):
        of_codes.decision_function(signals(code_frame(frame)).take(np.arange(0)))


@pytest.mark.parametrize("shape", [{"tree_share": 0.0}, {"tree_share": 0.4}, {"tree_share": 1.0}])
def test_a_sample_of_negatives_tells_the_risk_of_all(shape):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(30_000, 3))
    risk = 1 / (1 + np.exp(3 - X[:, 0]))
    happened = rng.random(len(X)) < risk
    model = ChurnClassifier(n_rounds=20, negatives=0.1, **shape).fit(X, happened)
    told = model.predict_proba(X)[:, 1]
    assert told.mean() == pytest.approx(risk.mean(), rel=0.06)
    assert np.corrcoef(told, risk)[0, 1] > 0.95
    parts = model.base_margin(X) + model.contributions(X).sum(axis=1)
    assert parts == pytest.approx(model.decision_function(X), abs=1e-9)
    again = ChurnClassifier.from_dict(model.to_dict(), model.correction_text())
    few = pd.DataFrame(X[:50], columns=["x0", "x1", "x2"])
    assert (again.decision_function(few) == model.decision_function(X[:50])).all()
    whole = ChurnClassifier(n_rounds=0).fit(X, happened)
    assert "negatives" not in whole.to_dict()["settings"]
