from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.errors import DataError
from models.churn.segments import SegmentAssignment, SegmentSettings, assign_segments


def rows(**columns):
    frame = pd.DataFrame(columns)
    return frame if "happened" in frame else frame.assign(happened=np.arange(len(frame)) % 2)


LARGE = {"min_rows": 1, "min_positives": 0}


def test_labels_from_columns_and_lifecycle():
    frame = rows(
        plan=["pro", "pro", "pro", None],
        region=["EU", "EU", None, "US"],
        tenure_days=[10.0, 90.0, np.nan, 400.0],
    )
    settings = SegmentSettings(("plan", "region"), (("onboarding", 90),), **LARGE)
    assert assign_segments(frame, settings).assign(frame).tolist() == [
        "plan=pro / region=EU / onboarding",
        "plan=pro / region=EU",
        "plan=pro / region=unknown",
        "plan=unknown / region=US",
    ]


def test_lifecycle_with_an_open_last_stage():
    frame = rows(tenure_days=[0.0, 89.9, 90.0, 1e9, np.nan])
    settings = SegmentSettings((), (("onboarding", 90), ("established", None)), **LARGE)
    assert assign_segments(frame, settings).assign(frame).tolist() == [
        "onboarding",
        "onboarding",
        "established",
        "established",
        "established",
    ]


def test_the_frames_own_segment_is_taken_as_it_is():
    frame = rows(segment=["SMB", "ENT", None])
    fitted = assign_segments(frame, SegmentSettings(**LARGE))
    assert fitted.assign(frame).tolist() == ["SMB", "ENT", "all"]
    assert assign_segments(rows(x=[1, 2]), SegmentSettings(**LARGE)).names == ("all",)


def test_small_segments_join_their_parent_from_the_leaves_up():
    frame = rows(
        plan=["pro"] * 30 + ["free"] * 8 + ["old"] * 3,
        region=["EU"] * 20 + ["US"] * 10 + ["EU"] * 4 + ["US"] * 4 + ["EU"] * 3,
        happened=[1, 0] * 20 + [1],
    )
    fitted = assign_segments(
        frame, SegmentSettings(("plan", "region"), min_rows=8, min_positives=4)
    )
    # Neither region of "free" is large enough, together they are; "old" is not even so.
    assert fitted.names == ("all", "plan=free", "plan=pro / region=EU", "plan=pro / region=US")
    assert len(fitted.merged) == 4
    assert fitted.merged[0] == (
        "Segment 'free / EU' has 4 rows and 2 positives, fewer than 8 and 4: it is read as 'free'."
    )
    assert set(fitted.assign(frame)) == set(fitted.names)


def test_an_unseen_value_becomes_its_nearest_parent():
    frame = rows(plan=["pro"] * 4, region=["EU"] * 4)
    fitted = assign_segments(frame, SegmentSettings(("plan", "region"), **LARGE))
    new = rows(plan=["pro", "new", None], region=["Mars", "EU", None])
    assert fitted.assign(new).tolist() == ["all", "all", "all"]
    pooled = SegmentAssignment(fitted.settings, ("plan=pro", "plan=pro / region=EU"))
    assert pooled.assign(new).tolist() == ["plan=pro", "all", "all"]


def test_values_that_look_like_labels_do_no_harm():
    frame = rows(plan=["a / b=c", "all", "", "=", "<script>"])
    fitted = assign_segments(frame, SegmentSettings(("plan",), **LARGE))
    assert fitted.assign(frame).nunique() == 5


def test_an_absent_column_is_named():
    with pytest.raises(
        DataError, match=r"Segments are read from 'plan'.* no column 'plan'; add it"
    ):
        assign_segments(rows(x=[1]), SegmentSettings(("plan",)))


def test_round_trip():
    frame = rows(plan=["pro", "free"], tenure_days=[1.0, 500.0])
    settings = SegmentSettings(("plan",), (("onboarding", 90), ("rest", None)), **LARGE)
    fitted = assign_segments(frame, settings)
    again = SegmentAssignment.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    assert again.assign(frame).tolist() == fitted.assign(frame).tolist()
