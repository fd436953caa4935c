"""Fiscal quarters part the calendar, wherever the year begins."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest

from pipelines.portfolio.forecast.fiscal import periods_after, quarter_of


@pytest.mark.parametrize("start", range(1, 13))
def test_every_day_lies_in_one_quarter_of_three_months(start: int) -> None:
    for step in range(0, 1500, 7):
        day = date(2023, 1, 1) + timedelta(days=step)
        quarter = quarter_of(day, start)
        assert quarter.opens <= day < quarter.closes
        assert (quarter.opens.month - start) % 3 == 0
        assert 89 <= (quarter.closes - quarter.opens).days <= 92
        assert quarter_of(quarter.closes, start).opens == quarter.closes
        # A year has the name of the calendar year its last day lies in.
        months_left = (start - quarter.opens.month - 1) % 12
        last = (quarter.opens.year * 12 + quarter.opens.month - 1 + months_left) // 12
        assert quarter.label.endswith(f" FY{last}")


def test_what_is_left_of_a_quarter_comes_before_whole_ones() -> None:
    periods = periods_after(date(2025, 12, 31), 2, 2)
    assert [each.label for each in periods] == ["rest of Q4 FY2026", "Q1 FY2027", "Q2 FY2027"]
    assert [each.is_rest for each in periods] == [True, False, False]
    assert periods[0].opens == date(2025, 12, 31)
    for one, other in itertools.pairwise(periods):
        assert one.closes == other.opens
    span = periods[0].span(date(2025, 12, 31))
    assert (span.opens, span.closes) == (0, 32)
