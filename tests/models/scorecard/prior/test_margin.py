from __future__ import annotations

import numpy as np
import pytest

from features.catalog import Signal
from models.churn.encoding import Encoded
from models.scorecard.grading import GradedSignal, Grading, Measure, group_measures
from models.scorecard.prior.margin import believe, broken_line

SIGNALS = (
    Signal("uses", "usage", "count", "higher", "Uses", 28, "{value}"),
    Signal("seats", "usage", "share", "higher", "Seats", 28, "{value}"),
    Signal("tickets", "support", "count", "lower", "Tickets", 90, "{value}"),
    Signal("region", "profile", "category", "none", "Region", None, "{value}"),
    Signal("renewal_due", "profile", "flag", "none", "Due", None, "{value}"),
)
MEASURES = group_measures(SIGNALS)


def data(rows=500, seed=0):
    rng = np.random.default_rng(seed)
    values = np.column_stack(
        [
            rng.poisson(20, rows),
            rng.random(rows),
            rng.poisson(1, rows),
            rng.integers(0, 3, rows),
            rng.random(rows) < 0.1,
        ]
    ).astype(float)
    return Encoded(values, np.zeros(rows, dtype=np.intp))


def believed(weights, encoded=None, **how):
    return believe(
        encoded or data(), SIGNALS, [3], MEASURES, {"all": np.array(weights)}, ["all"], **how
    )


def test_the_first_column_ranks_as_the_scorecard_does():
    import pandas as pd

    encoded = data()
    frame = pd.DataFrame(encoded.values[:, :3], columns=["uses", "seats", "tickets"])
    everybody = np.repeat("all", len(frame))
    grading = Grading.fit(MEASURES, frame, everybody)
    score = grading.grades(frame, everybody) @ [0.7, 0.3]
    column = believed([70.0, 30.0], encoded).columns(encoded)[:, 0]
    # A broken line of six pieces in place of the whole percentile table.
    assert np.corrcoef(score, column)[0, 1] < -0.985
    assert column.std() == pytest.approx(1)


def test_the_column_turns_where_the_outcome_is_good_news():
    encoded = data()
    bad, good = (believed([50.0, 50.0], good=good).columns(encoded)[:, 0] for good in (False, True))
    assert good == pytest.approx(-bad)


def test_a_measure_without_weight_is_no_part_of_the_scorecard():
    encoded = data()
    other = Encoded(encoded.values.copy(), encoded.segment)
    other.values[:, 2] += 5
    belief = believed([100.0, 0.0], encoded)
    assert belief.columns(encoded)[:, 0] == pytest.approx(belief.columns(other)[:, 0])


def test_no_weight_at_all_leaves_no_scorecard_and_no_nonsense():
    columns = believed([0.0, 0.0]).columns(data())
    assert np.isfinite(columns).all()
    assert not columns[:, 0].any()


def test_what_is_unknown_counts_as_the_mean():
    encoded = data()
    belief = believed([50.0, 50.0], encoded)
    nothing = Encoded(np.full((1, 5), np.nan), np.zeros(1, dtype=np.intp))
    assert belief.columns(nothing)[0, :6] == pytest.approx(np.zeros(6), abs=1e-9)


def test_a_contract_that_is_due_is_believed_to_be_riskier():
    belief = believed([50.0, 50.0])
    assert (belief.mean[1:] != 0).sum() == 1
    due = int(np.flatnonzero(belief.mean[1:])[0]) + 1
    column = belief.columns(data())[:, due]
    assert np.corrcoef(column, data().values[:, 4])[0, 1] == pytest.approx(1)


def test_signals_that_are_all_alike_or_unknown_have_no_column_that_moves():
    encoded = data()
    encoded.values[:, 0], encoded.values[:, 1] = 7.0, np.nan
    assert np.isfinite(believed([50.0, 50.0], encoded).columns(encoded)).all()


def test_a_line_of_the_teams_own_keeps_its_steps():
    line = GradedSignal("uses", True, ((0.0, 0.0), (10.0, 80.0), (100.0, 100.0)))
    knots, grades = broken_line(line, np.arange(0, 60.0))
    at = np.expm1(knots)
    assert grades == pytest.approx(np.interp(at, [0, 10, 100], [0, 0.8, 1.0]))
    assert {0.0, 10.0, 100.0} <= set(np.round(at, 6))


def test_a_line_of_no_values_is_empty():
    knots, grades = broken_line(GradedSignal("uses", True), np.empty(0))
    assert len(knots) == len(grades) == 0


def test_two_measures_may_share_a_signal():
    measures = (
        Measure("mine", (GradedSignal("uses", True),)),
        Measure("yours", (GradedSignal("uses", True), GradedSignal("tickets", False))),
    )
    encoded = data()
    belief = believe(encoded, SIGNALS, [3], measures, {"all": np.array([50.0, 50.0])}, ["all"])
    assert np.isfinite(belief.columns(encoded)).all()
