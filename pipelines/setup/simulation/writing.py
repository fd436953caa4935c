"""Parquet files of the demo company, written chunk by chunk so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.setup.simulation import behaviour, ledger, truth
from pipelines.setup.simulation.company import NEVER, PLANS, Accounts, Ints

_TIME = pa.timestamp("us")
TRUTH = "truth/rows"

SCHEMAS: dict[str, pa.Schema] = {
    "accounts": pa.schema(
        [("account_id", pa.string()), ("created_at", _TIME)]
        + [(n, pa.string()) for n in ("name", "plan", "industry", "region", "company_size")]
    ),
    "subscriptions": pa.schema(
        [
            ("account_id", pa.string()),
            ("started_at", _TIME),
            ("ended_at", _TIME),
            ("renewal_at", _TIME),
            ("mrr", pa.float64()),
            ("seats", pa.int32()),
            ("plan", pa.string()),
            ("billing_period", pa.string()),
            ("auto_renew", pa.bool_()),
            ("discount", pa.float64()),
        ]
    ),
    "usage_events": pa.schema(
        [
            ("account_id", pa.string()),
            ("occurred_at", _TIME),
            ("feature", pa.string()),
            ("user_id", pa.string()),
            ("quantity", pa.int32()),
        ]
    ),
    "tickets": pa.schema(
        [
            ("account_id", pa.string()),
            ("opened_at", _TIME),
            ("ticket_id", pa.string()),
            ("first_response_at", _TIME),
            ("closed_at", _TIME),
            ("priority", pa.string()),
            ("category", pa.string()),
            ("escalated", pa.bool_()),
            ("reopened", pa.bool_()),
            ("csat", pa.float64()),
            ("sentiment", pa.float64()),
        ]
    ),
    "invoices": pa.schema(
        [
            ("account_id", pa.string()),
            ("issued_at", _TIME),
            ("due_at", _TIME),
            ("paid_at", _TIME),
            ("amount", pa.float64()),
            ("failed_attempts", pa.int32()),
            ("refunded_at", _TIME),
        ]
    ),
    "referrals": pa.schema(
        [("account_id", pa.string()), ("referred_at", _TIME), ("converted_at", _TIME)]
    ),
    "surveys": pa.schema(
        [
            ("account_id", pa.string()),
            ("responded_at", _TIME),
            ("kind", pa.string()),
            ("score", pa.float64()),
            ("sent_at", _TIME),
        ]
    ),
    "trainings": pa.schema(
        [
            ("account_id", pa.string()),
            ("attended_at", _TIME),
            ("course", pa.string()),
            ("completed", pa.bool_()),
        ]
    ),
    "ratings": pa.schema(
        [
            ("account_id", pa.string()),
            ("rated_at", _TIME),
            ("rater", pa.string()),
            ("dimension", pa.string()),
            ("rating", pa.int32()),
        ]
    ),
    "interventions": pa.schema(
        [("account_id", pa.string()), ("occurred_at", _TIME), ("play", pa.string())]
    ),
    "churn_events": pa.schema(
        [("account_id", pa.string()), ("churned_at", _TIME), ("reason", pa.string())]
    ),
    TRUTH: pa.schema(
        [
            ("account_id", pa.string()),
            ("observation_date", _TIME),
            ("segment", pa.string()),
            ("churn_probability", pa.float64()),
            ("probability_if_due", pa.float64()),
            ("log_odds", pa.float64()),
            ("churned", pa.bool_()),
        ]
        + [(f"contribution_{name}", pa.float64()) for name in truth.CONTRIBUTIONS]
    ),
}
"""Columns of every file, in order; the first are the tables of the data contract."""

_WORDS: dict[str, Sequence[str]] = {
    "feature": ledger.FEATURES,
    "priority": behaviour.PRIORITIES,
    "category": behaviour.CATEGORIES,
    "kind": behaviour.SURVEY_KINDS,
    "course": behaviour.COURSES,
    "dimension": behaviour.DIMENSIONS,
    "play": behaviour.PLAYS,
    "plan": [plan.name for plan in PLANS],
    "segment": [plan.name for plan in PLANS],
    "billing_period": ("monthly", "annual"),
    "reason": [*truth.REASONS.values(), "other"],
    "rater": [f"csm-{number + 1:02d}" for number in range(ledger.RATERS)],
}
"""Codes in memory and the words they stand for."""


class Writer:
    """Open Parquet files of one simulation.

    Parameters
    ----------
    folder : Path
        An existing empty folder.
    end : int
        First second after the data; later moments are written as null.
    """

    def __init__(self, folder: Path, end: int):
        (folder / "truth").mkdir()
        self._end = end
        self.rows = dict.fromkeys(SCHEMAS, 0)
        self._files = {
            name: pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd")
            for name, schema in SCHEMAS.items()
        }

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def write(self, name: str, accounts: Accounts, columns: dict[str, Any]) -> None:
        """Append rows to one file.

        Parameters
        ----------
        name : str
            A key of :data:`SCHEMAS`.
        accounts : Accounts
            The chunk that the numbers in ``columns["account"]`` count from.
        columns : dict of str to array-like of shape (rows,)
            Seconds for moments, codes for words, an ``account`` column for ``account_id``.
        """
        if not len(columns["account"]):
            return
        ids = pa.array(accounts.ids).take(pa.array(columns["account"]))
        arrays = [
            ids if field.name == "account_id" else self._array(field, columns, ids)
            for field in SCHEMAS[name]
        ]
        table = pa.Table.from_arrays(arrays, schema=SCHEMAS[name])
        self._files[name].write_table(table)
        self.rows[name] += table.num_rows

    def _array(self, field: pa.Field, columns: dict[str, Any], ids: pa.Array) -> pa.Array:
        values = columns.get(field.name)
        if field.name == "user_id":
            labels = pa.array([f"U{number + 1:03d}" for number in range(ledger.MOST_USERS)])
            return pc.binary_join_element_wise(ids, labels.take(pa.array(columns["user"])), "-")
        if field.type == _TIME:
            return self._moments(field.name, columns[field.name])
        if field.name in _WORDS and isinstance(values, np.ndarray):
            return pa.array(_WORDS[field.name]).take(pa.array(values))
        if pa.types.is_floating(field.type):
            return pa.array(values, field.type, from_pandas=True)
        return pa.array(values).cast(field.type)

    def _moments(self, name: str, seconds: Ints) -> pa.Array:
        # What is agreed in advance may lie after the data; what happened may not.
        scheduled = name in ("renewal_at", "due_at", "observation_date")
        unknown = seconds >= (NEVER if scheduled else self._end)
        moments: NDArray[np.int64] = np.where(unknown, 0, seconds) * 1_000_000
        return pa.array(moments.view("M8[us]"), _TIME, mask=unknown)
