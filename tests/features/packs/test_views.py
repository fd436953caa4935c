"""Views: the way out for what no key of the configuration says, bounded to the source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pytest

from features.errors import DataError, HealthscoreError, SettingsError
from features.packs.views import View, with_views
from features.sources.source import Source
from features.tables.company import load_company
from features.tables.mapping.mapping import TablesSettings

Load = Callable[..., Source]
DEALS = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "firm": ["A", "B", "B"],
        "at": [datetime(2024, 1, 1)] * 3,
        "stage": ["won", "won", "lost"],
        "eur": [1.0, 2.0, 3.0],
    }
)
FIRMS = pd.DataFrame({"account_id": ["A", "B"], "created_at": [datetime(2023, 1, 1)] * 2})


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def load(request: pytest.FixtureRequest) -> Load:
    loaded: Load = request.getfixturevalue(f"load_{request.param}")
    return loaded


@pytest.fixture
def source(load: Load) -> Source:
    return load({"deals": DEALS, "accounts": FIRMS})


def rows(source: Source, name: str = "v") -> list[dict[str, object]]:
    listed: list[dict[str, object]] = source.tables[name].to_pyarrow().to_pylist()
    return listed


def test_a_view_is_a_table_of_the_source_and_may_read_views_before_it(source: Source) -> None:
    views = {
        "won": View(sql="select firm, eur * 2 as usd from Deals as d where d.stage = 'won'"),
        "v": View(
            sql="with w as (select * from won) select a.account_id, sum(w.usd) as usd from accounts"
            " a join w on w.firm = a.account_id group by 1 order by 1"
        ),
    }
    made = with_views(source, views)
    assert rows(made) == [{"account_id": "A", "usd": 2.0}, {"account_id": "B", "usd": 4.0}]
    assert set(made.tables) == {"deals", "accounts", "won", "v"}


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("drop table deals", "must be one query that changes nothing"),
        ("select 1; select 2", "must be one query that changes nothing"),
        ("insert into deals select * from deals", "must be one query that changes nothing"),
        ("", "must be one query that changes nothing"),
        ("select from where", "cannot be"),
        ("select * from deals where id = ?", "must not have parameters"),
        ("select * from deels", "reads '\"deels\"', and a view reads tables of the source alone"),
        ("select * from '/etc/passwd'", "a view reads tables of the source alone"),
        ("select * from information_schema.tables", "a view reads tables of the source alone"),
        ("select nothing from deals", "[views.v] cannot be computed: "),
    ],
)
def test_what_a_view_may_not_do_is_refused(source: Source, sql: str, said: str) -> None:
    with pytest.raises(HealthscoreError) as caught:
        rows(with_views(source, {"v": View(sql=sql)}))
    assert said.replace('"', "") in str(caught.value).replace('"', "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sql", ["select * from read_text('/etc/passwd')", "select * from glob('*')"]
)
def test_a_function_that_reads_files_is_refused(load_duckdb: Load, sql: str) -> None:
    with pytest.raises(SettingsError, match="a view reads tables of the source alone"):
        rows(with_views(load_duckdb({"deals": DEALS}), {"v": View(sql=sql)}))


def test_a_name_that_is_taken_is_refused(source: Source) -> None:
    with pytest.raises(SettingsError, match=r"\[views.Deals\] is called as a table of the source"):
        with_views(source, {"Deals": View(sql="select 1 as one")})


def test_columns_of_today_are_keys_and_names_and_no_values_of_the_past(source: Source) -> None:
    view = View(sql="select firm, at, eur, stage from deals", today_only=("eur", "stage"))
    made = with_views(source, {"v": view})
    mapping = {"from": "v", "account_id": "firm", "started_at": "at"}
    tables = {"accounts": {}, "subscriptions": mapping}
    load_company(made, TablesSettings.model_validate(tables))
    wrong = {**tables, "subscriptions": {**mapping, "mrr": "eur"}}
    with pytest.raises(DataError) as caught:
        load_company(made, TablesSettings.model_validate(wrong))
    assert str(caught.value) == (
        "Column 'eur' of table 'v' says what is so today and cannot be mrr of subscriptions, which"
        " is read on past dates; map another column, or take it off today_only if it never changes"
    )
    unknown = View(sql="select firm from deals", today_only=("stagee",))
    with pytest.raises(SettingsError, match="today_only names 'stagee', which the view does not"):
        rows(with_views(source, {"v": unknown}))


def test_an_attribute_of_today_is_told(source: Source) -> None:
    view = View(sql="select *, 'north' as region from accounts", today_only=("region",))
    tables = {
        "accounts": {"from": "v", "attributes": ["region"]},
        "subscriptions": {"from": "deals", "account_id": "firm", "started_at": "at"},
    }
    made = with_views(source, {"v": view})
    company = load_company(made, TablesSettings.model_validate(tables))
    findings = company.quality["accounts"].findings
    assert ("attributes-of-today", "warning") in [(each.code, each.severity) for each in findings]
