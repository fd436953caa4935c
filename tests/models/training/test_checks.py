from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from features.errors import DataError, EvidenceError
from models.training.checks import MIN_POSITIVES, check_evidence, check_labels

USAGE = Signal("logins", "usage", "count", "higher", "Logins", 28, "{value}")


def labels(positives, rows=100):
    return pd.DataFrame({"happened": np.r_[np.ones(positives), np.zeros(rows - positives)]})


@pytest.mark.parametrize("kind", [int, float, bool, "int8", "Int64", "boolean", object])
def test_enough_of_both_outcomes_in_any_type(kind):
    check_labels(labels(MIN_POSITIVES).astype(int).astype(kind), [USAGE])


def test_no_signal():
    with pytest.raises(
        DataError,
        match="A model needs at least one signal, but none was given; map a source table such as "
        "usage_events",
    ):
        check_labels(labels(50), [])


def test_a_signal_with_the_name_of_the_segment():
    named = Signal("segment", "usage", "count", "higher", "Segment", None, "{value}")
    with pytest.raises(
        DataError, match="No signal may be called 'segment', the column that splits the model; give"
    ):
        check_labels(labels(50), [USAGE, named])


def test_no_label():
    with pytest.raises(DataError, match="must have a column 'happened'; label them first"):
        check_labels(pd.DataFrame({"churned": [0, 1]}), [USAGE])


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [(np.nan, "nan"), (None, "None"), (2, "2"), ("1", "'1'"), ("yes", "'yes'"), (0.5, "0.5")],
)
def test_labels_that_are_neither(wrong, shown):
    frame = labels(50).astype(object)
    frame.loc[[3, 70], "happened"] = pd.Series([wrong, wrong], index=[3, 70], dtype=object)
    with pytest.raises(DataError) as caught:
        check_labels(frame, [USAGE])
    assert str(caught.value) == (
        "The label 'happened' must be 0 or 1 in every training row, but 2 row(s) hold something "
        f"else, such as {shown}; leave out rows not matured yet."
    )


def test_no_row_at_all():
    with pytest.raises(EvidenceError, match="but 0 of 0 rows are positive"):
        check_labels(labels(0, 0), [USAGE])


@pytest.mark.parametrize(
    ("positives", "rows", "needed"),
    [
        (29, 100, "at least 30 positives in the matured rows, but 29 of 100"),
        (0, 100, "at least 30 positives in the matured rows, but 0 of 100"),
        (29, 29, "at least 30 positives in the matured rows, but 29 of 29"),
        (50, 50, "a row without the outcome in the matured rows, but 50 of 50"),
    ],
)
def test_too_few_of_either(positives, rows, needed):
    with pytest.raises(EvidenceError) as caught:
        check_labels(labels(positives, rows), [USAGE])
    longer = "use a longer history or a longer outcome window"
    step = longer if positives < 30 else "check what counts as the outcome"
    assert str(caught.value) == (f"Learning needs {needed} rows are positive; {step}.")


def test_where_it_was_looked_for_is_said():
    happened = labels(4)["happened"]
    check_evidence(happened, 4, "anywhere")
    with pytest.raises(EvidenceError, match="at least 5 positives among the accounts learnt from"):
        check_evidence(happened, 5, "among the accounts learnt from")
