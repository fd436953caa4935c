"""A row of counts that DuckDB plans once is what Ibis' own way of fetching it gives."""

from __future__ import annotations

from typing import Any

import ibis
import pandas as pd
import pytest
from ibis.backends.duckdb import Backend

from features.sources.duckdb import duckdb_engine
from features.sources.engines.duckdb import _is_plain_row

ROWS = """
create table held as select * from (values
    (1::bigint, 1::utinyint, 0.1::double, 'a''🙂', true, timestamp '2024-02-29 01:02:03.000004'),
    (-9007199254740993, 255, 'nan', '', false, timestamp '0001-01-01'),
    (9223372036854775807, null, '-inf', null, null, timestamp '9999-12-31 23:59:59.999999')
) t (whole, small, number, text, flag, moment)
"""
TIMES = ("null", "timestamp 'infinity'", "timestamp '-infinity'", "timestamp '20000-01-01'")


def test_it_is_what_ibis_fetches() -> None:
    engine = duckdb_engine()
    engine.connection.raw_sql(ROWS)
    rows = engine.connection.table("held")
    for chosen in (rows, rows.filter(rows.whole == 5)):
        for name in chosen.columns:
            column = chosen[name]
            measures: dict[str, Any] = {"count": column.count(), "kinds": column.nunique()}
            if name == "flag":
                measures |= {"sum": column.sum(), "any": column.any()}
            else:
                measures |= {"low": column.min(), "high": column.max()}
            same(engine.connection, chosen.aggregate(**measures), name)
            same(engine.connection, measures.popitem()[1], name)
        same(engine.connection, chosen.number.mean(), "mean")
    engine.close()


@pytest.mark.parametrize("time", TIMES)
def test_times_that_python_has_not_are_fetched_as_ibis_does(time: str) -> None:
    engine = duckdb_engine()
    engine.connection.raw_sql(f"create table held as select {time}::timestamp as moment")
    rows = engine.connection.table("held")
    same(engine.connection, rows.aggregate(last=rows.moment.max(), count=rows.count()), time)
    same(engine.connection, rows.moment.max(), time)
    engine.close()


def same(connection: Any, asked: Any, what: str) -> None:
    found, expected = (fetched(how, connection, asked) for how in (type(connection), Backend))
    assert type(found) is type(expected), what
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_exact=True, obj=what)
        cells = [each.iloc[0].to_list() for each in (found, expected)]
        assert [type(cell) for cell in cells[0]] == [type(cell) for cell in cells[1]], what
    else:
        assert repr(found) == repr(expected), what


def fetched(how: Any, connection: Any, asked: Any) -> Any:
    try:
        return how.execute(connection, asked)
    except Exception as error:  # what Ibis cannot fetch it refuses, in the same words
        return str(error)


def test_rows_and_other_types_go_the_usual_way() -> None:
    rows = ibis.table({"key": "string", "amount": "decimal(20, 2)", "at": "timestamp('UTC')"})
    assert _is_plain_row(rows.count().as_table())
    assert _is_plain_row(rows.aggregate(n=rows.count(), last=rows.key.max()))
    for other in (
        rows,
        rows.group_by("key").aggregate(n=rows.count()),
        rows.aggregate(total=rows.amount.sum()),
        rows.aggregate(last=rows["at"].max()),
        rows.aggregate(keys=rows.key.collect()),
    ):
        assert not _is_plain_row(other)
