"""The portfolio: sums over issued scores, and whom to call first."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from pipelines.config import load_project
from pipelines.portfolio import account_names, portfolio
from pipelines.score import score_accounts

DAY = date(2025, 7, 1)


@pytest.fixture(scope="module")
def summed(scored):
    project = load_project(scored.config)
    return portfolio(project, score_accounts(project, DAY), calls=7)


def test_bands_add_up_to_the_store(scored, summed) -> None:
    for band in summed.bands:
        assert scored.sql(
            "select count(*), coalesce(sum(12 * mrr), 0), avg(probability) from scores"
            " where as_of = ? and band = ?",
            DAY,
            band.band,
        ) == [
            (band.accounts, pytest.approx(band.arr), pytest.approx(band.expected_rate, abs=1e-12))
        ]
        assert band.observed["band"] == band.band
    assert [band.band for band in summed.bands] == ["at-risk", "watch", "healthy"]


def test_money_comes_from_the_subscriptions_that_run(scored, summed) -> None:
    mrr = duckdb.sql(
        f"select sum(mrr) from '{scored.data}/subscriptions.parquet'"
        " where started_at < date '2025-07-01'"
        " and (ended_at is null or ended_at >= date '2025-07-01')"
    ).fetchall()[0][0]
    assert summed.arr == pytest.approx(12 * mrr)
    expected = scored.sql("select sum(12 * mrr * probability) from scores where as_of = ?", DAY)
    assert expected == [(pytest.approx(summed.expected_arr),)]


def test_the_costliest_are_called_first_with_their_costliest_reasons(scored, summed) -> None:
    first = scored.sql(
        "select account_id from scores where as_of = ?"
        " order by 12 * mrr * probability desc, account_id limit 7",
        DAY,
    )
    assert [(call.account_id,) for call in summed.calls] == first
    for call in summed.calls:
        costly = scored.sql(
            "select points from score_reasons where account_id = ? and as_of = ? and points < 0"
            " order by rank limit 3",
            call.account_id,
            DAY,
        )
        assert len(call.sentences) == len(costly)
        for sentence, (points,) in zip(call.sentences, costly, strict=True):
            assert sentence.endswith((f"−{-points:.1f} points", f"−{-points:.1f} point"))


def test_names_come_as_they_are(scored, hostile_ids) -> None:
    project = load_project(scored.config)
    ids = [*hostile_ids.values(), "nobody"]
    assert account_names(project, ids) == {name: name for name in hostile_ids.values()}
