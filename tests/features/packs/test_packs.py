"""The packs that come with the program: each hangs together, and no two know the same tables."""

from __future__ import annotations

import pytest

from features.errors import SettingsError
from features.packs.pack import known_packs
from features.packs.recognition import changed_layouts, recognise, recognise_all
from features.packs.verbs import parsed
from tests.features.packs.small_company import whole

PACKS = known_packs()


@pytest.mark.parametrize("name", PACKS)
def test_every_expression_can_be_taken_apart(name: str) -> None:
    for place, step in PACKS[name].places():
        for text in step.expressions():
            parsed(text, place)


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("spelling", ["{}", "raw_{}", "MY_SCHEMA/{}"])
def test_a_pack_knows_its_own_tables_whatever_stands_before_their_names(name, spelling) -> None:
    tables = headers(name, spelling)
    found = recognise_all(PACKS.values(), list(tables), lambda table: tables[table])
    assert [each.pack.name for each in found] == [name]
    assert set(found[0].tables) == set(PACKS[name].inputs)


def headers(name: str, spelling: str = "{}") -> dict[str, tuple[str, ...]]:
    return {
        spelling.format(each.names[0]).upper(): tuple(column.split("|")[0] for column in each.has)
        for each in PACKS[name].inputs.values()
    }


def test_several_vendors_are_told_apart_in_one_folder() -> None:
    tables = {name: tuple(frame.columns) for name, frame in whole().items()}
    found = recognise_all(PACKS.values(), list(tables), lambda table: tables[table])
    assert {each.pack.name for each in found} == {
        "stripe-fivetran", "hubspot-fivetran", "zendesk-fivetran"
    }  # fmt: skip


def test_plain_tables_are_no_vendors() -> None:
    tables = {
        "accounts": ("account_id", "created_at", "name"),
        "subscriptions": ("account_id", "started_at", "ended_at", "mrr"),
        "tickets": ("account_id", "opened_at", "closed_at", "priority"),
        "users": ("id", "email", "created_at"),
        "customers": ("id", "email", "created"),
    }
    assert recognise_all(PACKS.values(), list(tables), lambda table: tables[table]) == []
    assert changed_layouts(PACKS.values(), list(tables), lambda table: tables[table]) == []


def test_a_layout_that_lacks_few_columns_is_named() -> None:
    tables = headers("stripe-fivetran")
    tables["SUBSCRIPTION"] = tables["SUBSCRIPTION"][1:]
    gone = PACKS["stripe-fivetran"].inputs["subscription"].has[0]
    told = changed_layouts(PACKS.values(), list(tables), lambda table: tables[table])
    assert told == [
        f"The tables look like {PACKS['stripe-fivetran'].title}, whose layout has changed:"
        f" 'SUBSCRIPTION' lacks '{gone}'. They are read as one's own"
    ]
    tables["SUBSCRIPTION"] = ("id",)
    assert changed_layouts(PACKS.values(), list(tables), lambda table: tables[table]) == []


def test_a_table_that_must_lack_a_column_is_another() -> None:
    tables = headers("stripe-airbyte")
    customers = next(name for name in tables if name.lower().endswith("customers"))
    tables[customers] += ("is_deleted",)
    names = list(tables)
    assert recognise(PACKS["stripe-airbyte"], names, lambda table: tables[table]) is None


def test_two_packs_of_one_table_are_refused() -> None:
    other = PACKS["delighted"].model_copy(update={"name": "other", "vendor": "other"})
    tables = headers("delighted")
    with pytest.raises(SettingsError, match="claimed by the packs 'delighted' and 'other'"):
        recognise_all([PACKS["delighted"], other], list(tables), lambda table: tables[table])
