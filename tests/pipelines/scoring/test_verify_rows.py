"""Rows compared: what is no number equals nothing, and equal reasons may change places."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipelines.scoring.verify.rows import compare_rows
from tests.pipelines.issued import batch

REASONS: dict[str, Any] = {
    "reason_signals": [["plan", "logins", "tickets"]],
    "reason_points": [[3.0, -1.0, 1.0]],
    "reason_values": [["pro", "1.5", None]],
}


def table(**columns: Any) -> pa.Table:
    return pa.Table.from_batches([batch(["A"], **REASONS | columns)])


def test_rows_in_another_order_are_the_same() -> None:
    rows = batch(["A", "B", "C"])
    again = pa.Table.from_batches([rows.take([2, 0, 1])])
    compared = compare_rows(pa.Table.from_batches([rows]), again)
    assert (compared.accounts, compared.columns, compared.rows) == ([], {}, 3)


def test_accounts_that_are_gone_extra_or_twice_are_named() -> None:
    issued = pa.Table.from_batches([batch(["A", "B"]), batch(["B"]), batch(["C"])])
    again = pa.Table.from_batches([batch(["A", "B"]), batch(["D"])])
    compared = compare_rows(issued, again)
    assert (compared.gone, compared.extra) == (1, 1)
    assert compared.accounts == ["B", "C", "D"]
    assert compared.columns["account_id"] == 1


@pytest.mark.parametrize("name", ["score", "probability", "coverage", "points_usage", "mrr"])
def test_what_is_no_number_equals_nothing(name: str) -> None:
    broken = table(**{name: [float("nan")]})
    for one, other in ((broken, table()), (table(), broken), (broken, broken)):
        assert compare_rows(one, other).columns == {name: 1}
    assert compare_rows(broken, broken).largest_difference == 0


@pytest.mark.parametrize(
    ("columns", "same"),
    [
        ({"reason_points": [[3.0, -1.0 + 1e-10, 1.0]]}, True),
        ({"reason_values": [["pro", "1.5000000000001", None]]}, True),
        (
            {
                "reason_signals": [["plan", "tickets", "logins"]],
                "reason_points": [[3.0, 1.0, -1.0]],
                "reason_values": [["pro", None, "1.5"]],
            },
            True,
        ),
        ({"reason_signals": [["plan", "logins", "other"]]}, True),
        ({"reason_signals": [["other", "logins", "tickets"]]}, False),
        ({"reason_signals": [["logins", "plan", "tickets"]]}, False),
        ({"reason_points": [[3.0, 1.0, 1.0]]}, False),
        ({"reason_points": [[3.0, float("nan"), 1.0]]}, False),
        ({"reason_values": [["free", "1.5", None]]}, False),
        ({"reason_values": [["pro", "1.5", "0"]]}, False),
        ({"reason_signals": [["plan"]], "reason_points": [[3.0]]}, False),
    ],
)
def test_reasons_of_equal_points_may_change_places(columns: dict[str, Any], same: bool) -> None:
    assert (not compare_rows(table(**columns), table()).accounts) == same
