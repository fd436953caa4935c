"""Counts made in the engine against those made in memory, and against SQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.catalog import Signal
from features.sources.duckdb import duckdb_engine
from features.tables.last_rows import freshness
from models.churn.segments import SegmentAssignment, SegmentSettings
from models.drift import histograms as drift_histograms
from models.drift.feed_faults import Suspects
from models.drift.histograms import histograms, second_look, segment_of
from models.drift.reference import Reference, fit_reference, frame_histograms, nonzero_quantiles

SIGNALS = (
    Signal("usage", "usage", "count", "higher", "Usage", 28, "{value} uses"),
    Signal("late", "payments", "days", "lower", "Late", 180, "{value} late"),
    Signal("plan", "profile", "category", "none", "Plan", None, "Plan is {value}"),
)
SEGMENTS = ("plan=O'Brien", "plan=pro")
ASSIGNMENT = SegmentAssignment(SegmentSettings(("plan",)), SEGMENTS)
Load = Callable[[pd.DataFrame], ir.Table]


def rows(accounts: int = 500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "account_id": [f"A{i}" for i in range(accounts)],
            "observation_date": pd.Timestamp(2025, 1, 1),
            "usage": np.where(
                rng.random(accounts) < 0.8, np.exp(rng.normal(size=accounts)), np.nan
            ),
            "late": np.where(rng.random(accounts) < 0.5, 0.0, rng.normal(9, 4, accounts).round()),
            "plan": rng.choice(["pro", "O'Brien", "rare", None], accounts, p=[0.5, 0.3, 0.1, 0.1]),
            "score": rng.uniform(0, 100, accounts),
        }
    )


@pytest.fixture(scope="module")
def reference() -> Reference:
    frame = rows()
    return fit_reference(frame, SIGNALS, ASSIGNMENT.assign(frame), score=frame["score"])


@pytest.fixture(scope="module")
def on_duckdb() -> Iterator[Load]:
    engine = duckdb_engine()
    loaded: list[pa.Table] = []

    def load(frame: pd.DataFrame) -> ir.Table:
        name = f"rows_{len(loaded)}"
        loaded.append(pa.Table.from_pandas(frame, preserve_index=False))
        engine.connection.con.register(name, loaded[-1])
        return engine.connection.table(name)

    yield load
    engine.close()


@pytest.fixture(scope="module")
def on_postgres() -> Iterator[Load]:
    from features.sources.postgres import open_postgres, schema_tables
    from tests.features.servers import as_arrow, running_postgres, write_postgres

    with running_postgres() as server, server.connect() as admin:
        admin.execute("CREATE SCHEMA empty; CREATE TABLE empty.nothing ()")
        engine = open_postgres(server.url(schema="empty")).engine
        count = iter(range(99))

        def load(frame: pd.DataFrame) -> ir.Table:
            schema = f"drift_{next(count)}"
            admin.execute(f"CREATE SCHEMA {schema}")
            write_postgres(admin, f'{schema}."rows"', as_arrow(frame))
            return schema_tables(engine, schema, "memory")["rows"]

        yield load
        engine.close()


@pytest.fixture(scope="module")
def on_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    from pyarrow import parquet

    from features.sources.spark import folder_tables
    from features.sources.spark_session import engine_of_session
    from tests.features.servers import as_arrow, running_spark

    with running_spark() as session:
        engine = engine_of_session(session)

        def load(frame: pd.DataFrame) -> ir.Table:
            folder = tmp_path_factory.mktemp("spark")
            parquet.write_table(as_arrow(frame), folder / "rows.parquet")
            return folder_tables(engine, folder)[0]["rows"]

        yield load
        engine.close()


@pytest.fixture(
    scope="module",
    params=[
        "on_duckdb",
        pytest.param(
            "on_postgres", marks=[pytest.mark.postgres, pytest.mark.xdist_group("postgres")]
        ),
        pytest.param("on_spark", marks=[pytest.mark.spark, pytest.mark.xdist_group("spark")]),
    ],
)
def load(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def hostile(seed: int = 1) -> pd.DataFrame:
    frame = rows(seed=seed)
    frame.loc[:2, "usage"] = [np.inf, -np.inf, 0.0]
    frame.loc[3:6, "plan"] = ["<script>alert(1)</script>", "'; DROP TABLE rows; --", "", "PRO"]
    return frame


def test_every_engine_counts_what_memory_counts(reference: Reference, load: Load) -> None:
    frame = hostile()
    table = load(frame)
    found = histograms(reference, table, segment=segment_of(table, ASSIGNMENT))
    wanted = frame_histograms(reference, frame, ASSIGNMENT.assign(frame), score=frame["score"])
    assert (found.rows, found.of) == (500, 500)
    assert found.mix.tolist() == wanted.mix.tolist()
    assert {name: counted.tolist() for name, counted in found.tables.items()} == {
        name: counted.tolist() for name, counted in wanted.tables.items()
    }
    look = second_look(
        reference,
        table,
        Suspects(("usage", "late"), ("plan",)),
        segment=segment_of(table, ASSIGNMENT),
    )
    segment = ASSIGNMENT.assign(frame).to_numpy()
    for name in ("usage", "late"):
        for place, one in enumerate(reference.segments):
            part = frame[name].to_numpy()[(segment == one) | (one == "all")]
            assert look.quantiles[name][place] == pytest.approx(nonzero_quantiles(part))
    assert look.levels["plan"] == frame["plan"].value_counts().to_dict()


def test_each_bin_is_what_sql_counts(reference: Reference, on_duckdb: Load) -> None:
    table = on_duckdb(rows(seed=4))
    found = histograms(reference, table).tables["usage"][0]
    edges = [-np.inf, *reference.signals["usage"].bins.edges, np.inf]
    connection = table.get_backend().con  # type: ignore[attr-defined]
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        query = f"SELECT count(*) FROM {table.get_name()} WHERE usage > ? AND usage <= ?"
        assert connection.execute(query, [low, high]).fetchall()[0][0] == found[place]


def test_an_edge_is_compared_to_its_last_digit(load: Load) -> None:
    rng = np.random.default_rng(8)
    frame = rows(300).assign(usage=rng.choice(1 / rng.integers(1_000, 10_000, 40), 300))
    known = fit_reference(frame, SIGNALS, ASSIGNMENT.assign(frame))
    # Every edge is a value that many rows have, so that a rounded one would move them all.
    assert set(known.signals["usage"].bins.edges) <= set(frame["usage"])
    counted = histograms(known, load(frame)).tables["usage"][0]
    assert counted.tolist() == known.signals["usage"].table[0, 0].tolist()


def test_rows_are_counted_where_no_signal_is_left(reference: Reference, on_duckdb: Load) -> None:
    frame = rows(50)
    table = on_duckdb(frame[["account_id", "plan"]].rename(columns={"plan": "kind"}))
    found = histograms(reference, table, segment=table["kind"].fill_null("?"))
    assert (found.rows, found.tables, found.absent) == (50, {}, ("usage", "late", "plan"))
    assert found.mix.tolist() == [0, 0, 50, 0]


def test_nan_is_missing_as_null_is(reference: Reference, on_duckdb: Load) -> None:
    frame = rows(seed=5)
    nulls = int(frame["usage"].isna().sum())
    table = on_duckdb(frame)
    nan = table.mutate(usage=table.usage.fill_null(float("nan")))
    counted = histograms(reference, nan)
    assert counted.tables["usage"][0][-1] == nulls
    assert second_look(reference, nan, Suspects(("usage",), ())).quantiles["usage"].shape == (3, 19)


def test_a_table_too_large_is_sampled_by_account(
    reference: Reference, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_histograms, "SAMPLE_ROWS", 1_000)
    frame = rows(3_000, seed=6)
    found = histograms(reference, load(frame), most_rows=2_999)
    assert found.of == 3_000
    # A third of the accounts, by chance.
    assert 900 < found.rows < 1_100
    shares = found.tables["score"][0] / found.rows
    assert shares[:10] == pytest.approx(np.full(10, 0.1), abs=0.05)
    # It is the accounts that are drawn: in any order, and whatever else is said of them.
    again = histograms(reference, load(frame[::-1].assign(late=1.0)), most_rows=2_999)
    assert again.rows == found.rows
    assert again.tables["usage"].tolist() == found.tables["usage"].tolist()
    assert histograms(reference, load(frame), most_rows=3_000).rows == 3_000


def test_an_empty_table_and_an_absent_column_are_counted(
    reference: Reference, on_duckdb: Load
) -> None:
    frame = rows().drop(columns=["late", "score"])
    empty = histograms(reference, on_duckdb(frame.iloc[:0]))
    assert (empty.rows, empty.absent) == (0, ("late",))
    assert not empty.tables["plan"].any()
    assert histograms(reference, on_duckdb(frame)).absent == ("late",)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (SegmentSettings(("plan",)), SEGMENTS),
        (SegmentSettings(("plan", "region")), ("plan=pro", "plan=pro / region=unknown")),
        (
            SegmentSettings(("plan",), (("new", 90), ("first year", 365)), "tenure"),
            ("plan=pro / new", "plan=pro", "plan=rare / first year"),
        ),
        (SegmentSettings((), (("new", 90), ("old", None)), "tenure"), ("new",)),
        (SegmentSettings(), ("all",)),
    ],
)
def test_segments_are_assigned_as_in_memory(
    on_duckdb: Load, settings: SegmentSettings, names: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(7)
    frame = rows().assign(
        region=rng.choice(["EMEA", None], 500),
        tenure=np.where(rng.random(500) < 0.1, np.nan, rng.integers(0, 500, 500)),
    )
    assignment = SegmentAssignment(settings, names)
    table = on_duckdb(frame)
    found = table.select("account_id", s=segment_of(table, assignment)).execute()
    found = found.set_index("account_id")["s"].loc[frame["account_id"]]
    assert found.tolist() == assignment.assign(frame).tolist()


def test_a_segment_column_is_taken_as_it_is(on_duckdb: Load) -> None:
    table = on_duckdb(rows().assign(segment=["pro", None] * 250))
    known = SegmentAssignment(SegmentSettings(), ("pro",))
    found = table.select(s=segment_of(table, known)).execute()["s"].value_counts()
    assert found.to_dict() == {"pro": 250, "all": 250}


def test_the_newest_row_and_the_longest_gap_are_found(on_duckdb: Load) -> None:
    days = [
        "2025-01-01 08:00",
        "2025-01-01 09:00",
        "2025-01-05 00:00",
        "2025-01-06 23:59",
        "2025-03-01 00:00",
    ]
    table = on_duckdb(pd.DataFrame({"at": pd.to_datetime(days)}))
    found = freshness("tickets", table, "at", date(2025, 2, 1))
    assert (found.newest, found.usual_gap_days) == (date(2025, 1, 6), 4.0)
    assert (found.days, found.has_stopped) == (3, False)
    assert replace(found, days=5).has_stopped
    assert freshness("tickets", table, "at", date(2024, 1, 1)).newest is None
    assert freshness("tickets", table, "at", date(2025, 1, 2)).usual_gap_days == 1.0
