"""The columns of an issued score."""

from __future__ import annotations

import pyarrow as pa

from features.catalog import GROUPS
from pipelines.store.schema import (
    ADDED_COLUMNS,
    COLUMN_NOTES,
    HISTORY_SCHEMA,
    POINT_COLUMNS,
    SCORE_SCHEMA,
    SHOWN,
)


def test_the_columns_and_their_order_are_promised() -> None:
    assert SCORE_SCHEMA.names == [
        *("account_id", "segment", "score", "band", "grade", "probability", "coverage"),
        *("baseline_score", "points_usage", "points_adoption", "points_support"),
        *("points_payments", "points_referrals", "points_surveys", "points_enablement"),
        *("points_relationship", "points_profile", "mrr"),
        *("reason_signals", "reason_points", "reason_values", "probability_if_due"),
        *("loss_30_days", "loss_60_days", "loss_90_days", "loss_180_days", "loss_365_days"),
        *("days_to_renewal", "band_days"),
    ]
    assert list(POINT_COLUMNS) == [f"points_{group}" for group in GROUPS]
    assert [field.name for field in SCORE_SCHEMA if field.nullable] == ["mrr", *ADDED_COLUMNS]
    lists = [field.name for field in SCORE_SCHEMA if pa.types.is_list(field.type)]
    assert lists == ["reason_signals", "reason_points", "reason_values"]
    run = ["outcome", "as_of", "model_version", "revision", "issued_at"]
    shown = [name for name in SCORE_SCHEMA.names if name != "grade"]
    assert HISTORY_SCHEMA.names == [*run, *SHOWN] == run + shown


def test_every_column_is_documented_in_one_sentence() -> None:
    assert list(COLUMN_NOTES) == list(SHOWN)
    for note in COLUMN_NOTES.values():
        assert note[0].isupper()
        assert note.endswith(".")
        assert ". " not in note
        assert "  " not in note
