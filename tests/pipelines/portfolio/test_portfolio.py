"""The portfolio: sums over issued scores, and whom to call first."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import duckdb
import pyarrow as pa
import pytest

from pipelines.portfolio.portfolio import portfolio, sum_up
from pipelines.portfolio.worklist.described import described_accounts
from pipelines.portfolio.worklist.reasons import fact_of
from pipelines.project.project import load_project
from pipelines.project.settings.scorecard import PlaysSettings
from pipelines.scoring.score import score_accounts
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from tests.pipelines.issued import batch

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
    model = score_accounts(load_project(scored.config), DAY).model
    declared = {signal.name: (signal.healthy, signal.unit) for signal in model.signals}
    for call in summed.calls:
        costly = {}
        for signal, points, value in scored.sql(
            "select signal, points, value from score_reasons where account_id = ? and as_of = ?"
            " and points < 0 and signal_group <> 'profile' order by rank",
            call.account_id,
            DAY,
        ):
            healthy, unit = declared[signal]
            # None of what is bad, and what is no worse than it was, are nothing to call about.
            if value is not None and (
                (healthy == "lower" and float(value) < (0.005 if unit == "change" else 1e-12))
                or (healthy == "higher" and unit == "change" and float(value) > -0.005)
            ):
                continue
            costly.setdefault(fact_of(signal), points)
        assert len(call.sentences) == min(len(costly), 3)
        for sentence, points in zip(call.sentences, costly.values(), strict=False):
            assert f": −{-points:.1f} point" in sentence


def test_names_come_as_they_are(scored, hostile_ids) -> None:
    project = load_project(scored.config)
    ids = [*hostile_ids.values(), "nobody"]
    known = described_accounts(project, DAY, ids)
    assert {one: told.name for one, told in known.items()} == {
        name: name for name in hostile_ids.values()
    }


def test_segments_and_sizes_add_up_to_the_store(scored, summed) -> None:
    sums = "count(*), sum(12 * mrr), sum(probability), sum(12 * mrr * probability)"
    by_segment = scored.sql(f"select segment, {sums} from scores where as_of = ? group by 1", DAY)
    assert [_sums(part) for part in summed.segments] == [
        pytest.approx(row) for row in sorted(by_segment, key=lambda row: -row[4])
    ]
    size = "case when 12 * mrr < 1 then 0 else pow(10, floor(log10(12 * mrr))) end"
    by_size = scored.sql(f"select {size}, {sums} from scores where as_of = ? group by 1", DAY)
    assert [_sums(part) for part in summed.sizes] == [
        pytest.approx(row) for row in sorted(by_size, key=lambda row: -row[0])
    ]
    bands = scored.sql(
        "select segment, band, count(*), sum(12 * mrr) from scores where as_of = ? group by 1, 2",
        DAY,
    )
    found = {(part.name, band.band): band for part in summed.segments for band in part.bands}
    for segment, band, accounts, arr in bands:
        assert found[segment, band].accounts == accounts
        assert found[segment, band].arr == pytest.approx(arr)
    assert summed.unpriced == 0
    assert summed.expected_accounts == pytest.approx(
        sum(part.expected_accounts for part in summed.segments)
    )


def _sums(part):
    return (part.name, part.accounts, part.arr, part.expected_accounts, part.expected_arr)


def issued(project, folder, model, rows):
    """Sum up a run of rows of our own, two to a batch."""
    url = project.settings.model_copy(
        update={"store": project.settings.store.model_copy(update={"url": f"{folder}/s.duckdb"})}
    )
    own = replace(project, settings=url)
    key = RunKey("main", DAY, "1")
    with open_store(own, read_only=False) as store:
        with store.issue(key, {signal.name: signal.group for signal in model.signals}) as writer:
            for start in range(0, rows.num_rows, 2):
                writer.write(rows.slice(start, 2))
            run = writer.finish({})
        seen = []
        watch = [lambda part: seen.extend(part["account_id"])]
        found = sum_up(own, store, run, model, 3, watch)
    assert sorted(seen) == sorted(rows["account_id"].to_pylist())
    return found


def our_rows(accounts, **given):
    """Scores that say nothing but what is given."""
    filled = batch(
        accounts,
        reason_signals=[[] for _ in accounts],
        reason_points=[[] for _ in accounts],
        reason_values=[[] for _ in accounts],
    )
    for name, values in given.items():
        place = filled.schema.get_field_index(name)
        filled = filled.set_column(
            place, filled.schema.field(name), pa.array(values, filled.schema.field(name).type)
        )
    return filled


@pytest.fixture(scope="module")
def champion_model(scored):
    return load_project(scored.config).registry.champion().model


def test_mrr_that_is_not_known_is_counted_and_left_out(scored, tmp_path, champion_model) -> None:
    rows = our_rows(
        ["a", "b", "c", "d", "e"],
        mrr=[100.0, None, 0.0, 2000.0, None],
        probability=[0.5, 0.9, 0.1, 0.2, 0.3],
        segment=["x", "x", "y", "y", "z"],
        band=["at-risk", "at-risk", "healthy", "watch", "watch"],
    )
    found = issued(load_project(scored.config), tmp_path, champion_model, rows)
    assert (found.unpriced, found.arr, found.accounts) == (2, 25_200, 5)
    assert found.expected_arr == pytest.approx(0.5 * 1200 + 0.2 * 24_000)
    assert found.expected_accounts == pytest.approx(2.0)
    sizes = [(part.name, part.accounts) for part in found.sizes]
    assert sizes == [(10_000.0, 1), (1000.0, 1), (0.0, 1), (None, 2)]
    assert [part.name for part in found.segments] == ["y", "x", "z"]
    assert [call.account_id for call in found.calls] == ["d", "a", "b"]
    assert [call.stake for call in found.calls] == pytest.approx([4800, 600, 0])
    assert [call.sentences for call in found.calls] == [[], [], []]


def test_without_mrr_accounts_are_counted(scored, tmp_path, champion_model) -> None:
    rows = our_rows(["a", "b", "c"], mrr=[None] * 3, probability=[0.2, 0.9, 0.4])
    found = issued(load_project(scored.config), tmp_path, champion_model, rows)
    assert (found.arr, found.expected_arr, found.sizes, found.unpriced) == (None, None, [], 3)
    assert [call.account_id for call in found.calls] == ["b", "c", "a"]
    assert {call.stake for call in found.calls} == {None}
    assert found.expected_accounts == pytest.approx(1.5)


def test_one_account_is_a_portfolio(scored, tmp_path, champion_model) -> None:
    rows = our_rows(["only"], mrr=[10.0], probability=[0.25], band=["at-risk"])
    found = issued(load_project(scored.config), tmp_path, champion_model, rows)
    assert [band.accounts for band in found.bands] == [1, 0, 0]
    assert found.expected_arr == pytest.approx(30)


def test_the_first_harmful_reason_with_a_play_decides(scored, tmp_path, champion_model) -> None:
    signals = [signal for signal in champion_model.signals if not signal.is_categorical]
    first, second = signals[0], next(s for s in signals if s.group != signals[0].group)
    project = load_project(scored.config)
    rows = our_rows(["a", "b", "c"], mrr=[3.0, 2.0, 1.0], probability=[0.5] * 3)
    at_risk = pa.array(["at-risk"] * 3)
    rows = rows.set_column(rows.schema.get_field_index("band"), rows.schema.field("band"), at_risk)
    reasons = [[first.name, second.name], [first.name, second.name], [second.name]]
    points = [[-9.0, -3.0], [8.0, -3.0], [4.0]]
    for name, values in (
        ("reason_signals", reasons),
        ("reason_points", points),
        ("reason_values", [["1", "1"], ["1", "1"], ["1"]]),
    ):
        place = rows.schema.get_field_index(name)
        kind = rows.schema.field(name)
        rows = rows.set_column(place, kind, pa.array(values, kind.type))

    def plays(number, **given):
        settings = project.settings.model_copy(update={"plays": PlaysSettings(**given)})
        folder = tmp_path / str(number)
        folder.mkdir()
        found = issued(replace(project, settings=settings), folder, champion_model, rows)
        return [call.play for call in found.calls]

    both = {first.group: "first", second.group: "second"}
    assert plays(1, groups=both) == ["first", "second", None]
    assert plays(2, groups=both, signals={first.name: "own"}) == ["own", "second", None]
    assert plays(3, groups={second.group: "second"}) == ["second", "second", None]
    assert plays(4) == [None, None, None]
