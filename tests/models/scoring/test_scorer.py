from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import expit, logit
from sklearn.base import clone

from features.catalog import GROUPS
from features.errors import DataError
from models.scoring.health_model import HealthModel, model_input
from models.scoring.issued import issued_intervals
from models.scoring.scorer import Scorer

PARTS = {
    "as chosen": {},
    "backbone and trees": {"n_rounds": 40, "num_leaves": 12},
    "trees alone": {"n_rounds": 40, "backbone": False},
}


@pytest.fixture(scope="module", params=PARTS)
def model(request, result, frame, signals):
    chosen = result.model
    inputs = model_input(frame, signals, chosen.segments)
    classifier = clone(chosen.classifier).set_params(**PARTS[request.param])
    return replace(chosen, classifier=classifier.fit(inputs, frame["happened"]), shap=None)


def as_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    (batch,) = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks().to_batches()
    return batch


@pytest.fixture(scope="module")
def batch(frame):
    rows = frame.drop(columns=["truth", "happened"])
    rows["mrr"] = np.where(np.arange(len(rows)) % 7 == 0, np.nan, 100.0 + np.arange(len(rows)))
    return as_batch(rows)


@pytest.fixture(scope="module")
def scored(model, batch):
    return Scorer(model).score_batch(batch).to_pandas()


def test_probabilities_are_those_of_the_margin(model, scored, frame):
    inputs = model_input(frame, model.signals, model.segments)
    segment = inputs["segment"].to_numpy(dtype=object)
    margin = model.classifier.decision_function(inputs)
    expected = expit(model.calibrator.log_odds(margin, segment))
    assert scored["probability"].to_numpy() == pytest.approx(expected, abs=1e-7)


def with_four_digits(value: float) -> str:
    """Write a number with four significant digits, a whole one with all it has."""
    cut = value if value == round(value) or abs(value) >= 1000 else float(f"{value:.3e}")
    return str(pa.scalar(float(round(value)) if abs(value) >= 1000 else cut).cast(pa.string()))


def assert_alike(found: pd.DataFrame, model: HealthModel, frame: pd.DataFrame) -> None:
    expected = Scorer(model).score(frame)
    table = expected.table
    for name in ("account_id", "segment", "band"):
        assert found[name].tolist() == table[name].tolist()
    for name in ("score", "probability", "coverage", "baseline_score"):
        assert found[name].to_numpy() == pytest.approx(table[name].to_numpy(), abs=1e-9)
    by_group = expected.group_points()
    for group in GROUPS:
        points = by_group[group] if group in by_group else np.zeros(len(table))
        assert found[f"points_{group}"].to_numpy() == pytest.approx(points, abs=1e-9)
    for row, reasons in enumerate(expected.reasons()):
        one = found.iloc[row]
        assert list(one["reason_points"]) == pytest.approx([r.points for r in reasons], abs=1e-9)
        assert list(one["reason_signals"]) == [reason.signal for reason in reasons]
        for text, reason in zip(one["reason_values"], reasons, strict=True):
            if isinstance(reason.value, float):
                assert text == with_four_digits(reason.value)
            else:
                assert text == reason.value


def test_a_batch_says_what_the_model_says(model, batch, scored, frame):
    assert_alike(scored, model, frame)
    sums = scored[[f"points_{group}" for group in GROUPS]].sum(axis=1) + scored["baseline_score"]
    assert sums.to_numpy() == pytest.approx(scored["score"].to_numpy(), abs=1e-9)
    assert scored["mrr"].isna().sum() == (np.arange(len(frame)) % 7 == 0).sum()


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_same_bytes_whatever_the_batch(model, batch, rows):
    # Batches of one row take a millisecond each.
    count = min(2500, 500 * rows)
    whole = Scorer(model).score_batch(batch[:count])
    parts = [
        Scorer(model).score_batch(batch[start : start + rows]) for start in range(0, count, rows)
    ]
    parts = [
        part[: count - start] for part, start in zip(parts, range(0, count, rows), strict=True)
    ]
    cut = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
    assert cut.equals(whole)


def test_order_of_columns_and_further_ones_do_not_matter(model, batch):
    mixed = batch.select(sorted(batch.schema.names)).append_column("more", pa.nulls(len(batch)))
    assert Scorer(model).score_batch(mixed).equals(Scorer(model).score_batch(batch))


def test_a_model_of_few_signals_has_points_for_every_group(result, frame, signals):
    few = tuple(signal for signal in signals if signal.group in ("usage", "support"))
    chosen = result.model
    inputs = model_input(frame, few, chosen.segments)
    fitted = clone(chosen.classifier).set_params(healthy=None, groups=None)
    names = [signal.name for signal in signals]
    kept = [names.index(signal.name) for signal in few]
    model = replace(
        chosen,
        signals=few,
        classifier=fitted.fit(inputs, frame["happened"]),
        centres={name: [centre[i] for i in kept] for name, centre in chosen.centres.items()},
        shap=None,
    )
    found = Scorer(model).score_batch(as_batch(frame)).to_pandas()
    assert_alike(found, model, frame)
    assert (found["points_payments"] == 0).all()
    assert found["reason_signals"].map(len).max() == 3


def test_no_row(model, batch):
    nobody = Scorer(model).score_batch(batch[:0])
    assert nobody.num_rows == 0
    assert nobody.schema == Scorer(model).score_batch(batch).schema


def test_unseen_categories_and_segments_are_read_as_their_parents(model, frame):
    odd = frame.head(6).copy()
    odd["billing_period"] = ["weekly", None, "monthly", "", "<b>", "annual"]
    odd["plan"] = ["free", None, "starter", "starter", "", "growth"]
    odd["tenure_days"] = [5.0, np.nan, 5.0, 500.0, 89.9, 90.0]
    rows = as_batch(odd)
    assert_alike(Scorer(model).score_batch(rows).to_pandas(), model, odd)


def test_numbers_of_other_types_are_read_as_numbers(model, batch):
    whole = batch.to_pandas().head(50)
    whole["tenure_days"] = whole["tenure_days"].round()
    expected = Scorer(model).score_batch(as_batch(whole))
    for kind in (pa.int32(), pa.float32(), pa.decimal128(24, 2), pa.string()):
        table = as_batch(whole)
        place = table.schema.get_field_index("tenure_days")
        column = table["tenure_days"].cast(pa.int64()).cast(kind)
        changed = table.set_column(place, pa.field("tenure_days", kind), column)
        assert Scorer(model).score_batch(changed)["score"].equals(expected["score"])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "tenure_days",
            ["12", "soon", None],
            "Signal 'tenure_days' must hold finite numbers, or nothing where it is not known, but "
            "holds 'soon'; correct the column it is built from.",
        ),
        (
            "tickets_90d",
            [1.0, float("inf"), None],
            "Signal 'tickets_90d' must hold finite numbers, or nothing where it is not known, but "
            "holds 'inf'; correct the column it is built from.",
        ),
        (
            "tickets_90d",
            [[1.0], [2.0], None],
            "Signal 'tickets_90d' must hold finite numbers, or nothing where it is not known, but "
            "holds 'values of type list<item: double>'; correct the column it is built from.",
        ),
    ],
)
def test_what_is_no_finite_number_is_refused(model, batch, column, values, message):
    rows = batch[:3]
    place = rows.schema.get_field_index(column)
    changed = rows.set_column(place, column, pa.array(values))
    with pytest.raises(DataError) as refused:
        Scorer(model).score_batch(changed)
    assert str(refused.value) == message


def test_absent_and_doubled_columns_are_refused(model, batch):
    with pytest.raises(DataError, match="but 'usage_28d', 'plan' is absent; build them with the"):
        Scorer(model).score_batch(batch.drop_columns(["usage_28d", "plan"]))
    doubled = batch.append_column("plan", batch["plan"])
    with pytest.raises(DataError, match="'plan' is there more than once; rename or drop one"):
        Scorer(model).score_batch(doubled)


def test_the_plan_is_kept_with_the_model(model, batch, tmp_path):
    model.save(tmp_path)
    loaded = HealthModel.load(tmp_path)
    assert loaded.shap is not None
    assert Scorer(loaded).score_batch(batch).equals(Scorer(model).score_batch(batch))


def test_intervals_lie_around_probabilities_and_are_wider_at_the_ends(result, frame):
    table = Scorer(result.model).score(frame).table
    low, high = table["probability_low"], table["probability_high"]
    assert (low < table["probability"]).all()
    assert (table["probability"] < high).all()
    assert (low > 0).all()
    assert (high < 1).all()
    width = logit(high) - logit(low)
    middle = table["probability"].between(*table["probability"].quantile([0.4, 0.6]))
    assert width[table["probability"] > table["probability"].quantile(0.98)].mean() > (
        1.2 * width[middle].mean()
    )


@pytest.mark.parametrize("anchor", [0.1, 1e-5, 0.999])
def test_intervals_follow_from_issued_rows_though_scores_are_cut_off(result, frame, anchor):
    pinned = replace(result.model.scale, anchor_probability=anchor)
    model = replace(result.model, scale=pinned)
    told = Scorer(model).score(frame)
    points = told.group_points()
    issued = told.table.assign(
        **{f"points_{group}": points.get(group, 0.0) for group in model.spread.groups}
    )
    # Where the baseline itself is cut off there are no points to stretch.
    whole = (issued["baseline_score"] > 0) & (issued["baseline_score"] < 100)
    low, high = issued_intervals(model, issued)
    for found, name in ((low, "probability_low"), (high, "probability_high")):
        assert found[whole] == pytest.approx(issued.loc[whole, name].to_numpy(), abs=1e-9)
    assert (low <= high).all()
    assert np.isfinite([low, high]).all()


def test_a_model_from_before_intervals_says_none(result, frame):
    model = replace(result.model, spread=None)
    assert Scorer(model).score(frame.head()).table["probability_low"].isna().all()
    assert issued_intervals(model, frame.head()) is None
