"""Several vendors' tables become one company's contract tables, on every engine."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.errors import DataError, SettingsError
from features.packs.opening import Vendors
from features.packs.vendors import IdentitySettings, Vendor
from features.sources.source import Source
from features.tables.mapping.mapping import TableMapping
from tests.features.packs.small_company import DAY, LATER, hubspot, rows, stripe, whole, zendesk

STRIPE = Vendor(pack="stripe-fivetran", currency="usd", rates={"jpy": 0.01})
SOURCES = {
    "stripe": STRIPE,
    "hubspot": Vendor(pack="hubspot-fivetran"),
    "zendesk": Vendor(pack="zendesk-fivetran"),
}


def opened(source: Source, vendors: dict[str, Vendor] | None = None, **options: Any) -> Vendors:
    return Vendors(
        source,
        SOURCES if vendors is None else vendors,
        options.pop("identity", IdentitySettings()),
        TableMapping(source=options.pop("accounts", "hubspot.accounts")),
        options.pop("folder", Path()),
    )


def listed(vendors: Vendors, name: str, *columns: str) -> list[tuple[Any, ...]]:
    frame = vendors.tables()[name].execute()[list(columns)].astype(object)
    frame = frame.where(frame.notna(), None)
    return sorted(frame.itertuples(index=False, name=None), key=str)


def test_vendors_become_one_company_on_every_engine(load_on) -> None:
    vendors = opened(load_on(whole()))
    accounts = listed(vendors, "hubspot.accounts", "account_id", "name", "industry")
    assert accounts == [("1", "Acme", "software"), ("2", "Beta", "media"), ("3", "Gamma", "media")]
    contracts = listed(
        vendors, "stripe.subscriptions", "account_id", "started_at", "ended_at", "mrr", "seats"
    )
    assert [(a, s, e, pytest.approx(m), n) for a, s, e, m, n in contracts] == [
        ("1", DAY, LATER, 30.0, 3),
        ("1", LATER, None, 60.0, 5),
        ("2", DAY, None, 20.0, 2),
        ("stripe:cus_x", DAY, None, 10.0, 1),
    ]
    tickets = listed(
        vendors, "zendesk.tickets", "account_id", "ticket_id", "closed_at", "category", "reopened"
    )
    assert [(str(t), a, c, kind) for a, t, c, kind, _ in tickets] == [
        ("1", "1", datetime(2024, 1, 5), "bug"),
        ("2", "1", None, "how-to"),
        ("3", "2", None, None),
        ("6", "3", None, None),
        ("4", "zendesk:user 300", None, None),
    ]
    assert [bool(reopened) for *_, reopened in tickets] == [True, False, False, False, False]
    first = listed(vendors, "zendesk.tickets", "ticket_id", "first_response_at")[0][1]
    assert first == datetime(2024, 1, 1, 2)


def test_links_say_by_which_rule(load_duckdb) -> None:
    vendors = opened(load_duckdb(whole()))
    links = {name: table.execute() for name, table in vendors.links.items()}
    assert set(links["stripe"].itertuples(index=False, name=None)) == {
        ("cus_1", "1", "external_id"), ("cus_1b", "1", "external_id"), ("cus_2", "2", "domain")
    }  # fmt: skip
    assert ("10", "1", "external_id") in set(links["zendesk"].itertuples(index=False, name=None))
    assert ("20", "2", "domain") in set(links["zendesk"].itertuples(index=False, name=None))
    assert ("30", "3", "name") in set(links["zendesk"].itertuples(index=False, name=None))


def test_a_value_of_two_accounts_finds_neither(load_duckdb) -> None:
    tables = whole()
    companies = tables["hubspot_company"]
    companies.loc[2, "property_domain"] = "beta.io"
    vendors = opened(load_duckdb(tables))
    assert "cus_2" in set(vendors.links["stripe"].execute().key)
    rule = vendors.links["stripe"].execute().set_index("key").rule["cus_2"]
    assert rule == "name"


def test_a_key_that_meets_two_accounts_belongs_to_none(load_duckdb) -> None:
    tables = whole()
    tables["zendesk_domain_name"] = rows(
        "organization_id domain_name", (20, "beta.io"), (20, "acme.com")
    )
    assert "20" not in set(opened(load_duckdb(tables)).links["zendesk"].execute().key)


def test_the_rules_are_asked_in_declared_order(load_duckdb) -> None:
    vendors = opened(load_duckdb(whole()), identity=IdentitySettings(rules=("domain",)))
    links = vendors.links["stripe"].execute()
    assert set(links.key) == {"cus_1", "cus_2"}
    assert set(links.rule) == {"domain"}


def test_overrides_go_before_every_rule(load_duckdb, tmp_path) -> None:
    file = tmp_path / "links.csv"
    file.write_text("source,key,account_id\nstripe,cus_x,3\nstripe,cus_2,\n")
    identity = IdentitySettings(overrides="links.csv")
    vendors = opened(load_duckdb(whole()), identity=identity, folder=tmp_path)
    links = vendors.links["stripe"].execute().set_index("key")
    assert (links.account_id["cus_x"], links.rule["cus_x"]) == ("3", "override")
    assert "cus_2" not in links.index


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,key,account_id\nstripe,cus_x,99\n", "names accounts that are not there: '99'"),
        ("source,key,account_id\nstrip,cus_x,1\n", "line 2, names the source 'strip'; known are"),
        ("source,key,account_id\nstripe,a,1\nstripe,a,2\n", "line 3, names the key 'a' .* again"),
        ("source,key\nstripe,a\n", "needs the columns source, key, account_id and has"),
    ],
)
def test_a_wrong_file_of_links_is_refused(load_duckdb, tmp_path, text, message) -> None:
    (tmp_path / "links.csv").write_text(text)
    identity = IdentitySettings(overrides="links.csv")
    with pytest.raises(SettingsError, match=message):
        _ = opened(load_duckdb(whole()), identity=identity, folder=tmp_path).links


def test_no_file_of_links_is_told(load_duckdb, tmp_path) -> None:
    identity = IdentitySettings(overrides="none.csv")
    with pytest.raises(SettingsError, match=r"none\.csv' cannot be read: No such file"):
        _ = opened(load_duckdb(whole()), identity=identity, folder=tmp_path).links


def test_one_vendor_alone_joins_customers_of_one_external_key(load_duckdb) -> None:
    vendors = opened(load_duckdb(stripe()), {"stripe": STRIPE}, accounts="stripe.accounts")
    accounts = listed(vendors, "stripe.accounts", "account_id", "created_at")
    assert accounts == [("cus_1", DAY), ("cus_2", DAY), ("cus_x", DAY)]
    assert len(listed(vendors, "stripe.subscriptions", "account_id")) == 4


def test_a_table_of_ones_own_may_be_the_hub(load_duckdb) -> None:
    own = {"customers": rows("account_id created_at website", ("T-1", DAY, "x.io"),
                             ("T-2", DAY, "https://www.beta.io/"))}  # fmt: skip
    vendors = opened(
        load_duckdb(own | zendesk()), {"zendesk": SOURCES["zendesk"]}, accounts="customers"
    )
    links = vendors.links["zendesk"].execute().set_index("key").account_id
    assert (links["10"], links["20"]) == ("T-1", "T-2")


def test_a_vendor_says_who_looks_after_an_account_today(load_duckdb) -> None:
    tables = hubspot()
    company = tables["hubspot_company"]
    tables["hubspot_company"] = company.assign(
        property_hubspot_owner_id=["7", "8"] + [None] * (len(company) - 2)
    )
    tables["hubspot_owner"] = rows("owner_id email", ("7", "li@us.com"))
    vendors = opened(load_duckdb(tables), {"hubspot": SOURCES["hubspot"]})
    owners = listed(vendors, "hubspot.accounts", "account_id", "owner")
    assert owners == [("1", "li@us.com"), ("2", "8"), ("3", None)]
    assert "owner" in vendors.about("hubspot.accounts").today_only


def test_a_rate_that_is_not_there_leaves_amounts_missing(load_duckdb) -> None:
    stripe_alone = {"stripe": STRIPE.model_copy(update={"rates": {}})}
    vendors = opened(load_duckdb(stripe()), stripe_alone, accounts="stripe.accounts")
    amounts = dict(listed(vendors, "stripe.subscriptions", "account_id", "mrr"))
    assert amounts["cus_2"] is None


def test_a_layout_that_has_changed_is_told(load_duckdb) -> None:
    tables = whole()
    tables["stripe_subscription"] = tables["stripe_subscription"].drop(columns="ended_at")
    with pytest.raises(DataError, match=r"\[source.stripe\] are not laid out as pack 'stripe-five"
                       r".*table 'stripe_subscription' lacks 'ended_at'"):  # fmt: skip
        _ = opened(load_duckdb(tables)).recognised


def test_a_column_that_only_a_verb_reads_is_told_too(load_duckdb) -> None:
    tables = whole()
    tables["zendesk_ticket"] = tables["zendesk_ticket"].drop(columns="priority")
    with pytest.raises(DataError, match="'ticket' has no column 'priority', which Pack 'zendesk-f"):
        _ = opened(load_duckdb(tables)).raw


def test_tables_may_be_named_where_names_do_not_tell(load_duckdb) -> None:
    tables = hubspot()
    named = Vendor(pack="hubspot-fivetran", tables={"company": "firms"})
    source = load_duckdb({"firms": tables["hubspot_company"]})
    assert len(listed(opened(source, {"hubspot": named}), "hubspot.accounts", "name")) == 3
    wrong = named.model_copy(update={"tables": {"compny": "firms"}})
    with pytest.raises(SettingsError, match=r"\[source.hubspot\] tables names 'compny'"):
        _ = opened(source, {"hubspot": wrong}).recognised


def test_two_vendors_that_claim_one_table_are_refused(load_duckdb, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    both = {"hubspot": SOURCES["hubspot"], "mine": Vendor(pack="mine.toml")}
    with pytest.raises(SettingsError, match="'hubspot_company' is claimed by the packs 'hubspot-f"):
        _ = opened(load_duckdb(hubspot()), both, folder=tmp_path).recognised


MINE = """
title = "Ours"
vendor = "mine"
kind = "crm"
[inputs.firm]
names = ["company"]
has = ["id"]
today_only = ["property_lifecyclestage"]
[tables.accounts]
from = "firm"
[tables.accounts.columns]
account_id = "id"
created_at = "time(property_createdate)"
"""


def test_a_pack_of_the_project_is_read(load_duckdb, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    mine = {"mine": Vendor(pack="mine.toml")}
    vendors = opened(load_duckdb(hubspot()), mine, accounts="mine.accounts", folder=tmp_path)
    assert len(listed(vendors, "mine.accounts", "account_id")) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('name = "time(property_createdate)"', None),
        ('name = "property_lifecyclestage"', "which says what is so today"),
        ('name = "property_name"\nindustry = "property_name"', "has no column 'industry'"),
        ('recorded_at = "id"', "maps the column 'id' twice, to account_id and to recorded_at"),
        ('name = "nme"', "has no column 'nme'"),
        ("name = 7", "tables.accounts.columns.name"),
        ('[tables.acounts]\nfrom = "firm"', "has no table 'acounts'; did you mean 'accounts'"),
        ('[steps.x]\nfrom = "frm"', "reads the table 'frm', which is no input and no earlier step"),
        ("[", "is not valid TOML"),
    ],
)
def test_a_wrong_pack_is_refused_by_a_sentence(load_duckdb, tmp_path, more, message) -> None:
    (tmp_path / "mine.toml").write_text(MINE + more)
    mine = {"mine": Vendor(pack="mine.toml")}
    vendors = opened(load_duckdb(hubspot()), mine, accounts="mine.accounts", folder=tmp_path)
    if message is None:
        assert vendors.tables()["mine.accounts"].count().execute() == 4
        return
    with pytest.raises((SettingsError, DataError), match=message):
        _ = vendors.raw


def test_a_pack_that_is_not_there_is_refused(load_duckdb) -> None:
    with pytest.raises(SettingsError, match="no pack 'stripe-fivetra'; did you mean 'stripe-five"):
        _ = opened(load_duckdb(stripe()), {"s": Vendor(pack="stripe-fivetra")}).recognised


def test_the_future_changes_no_value_of_the_past(load_duckdb) -> None:
    """What is overwritten in place reaches no column."""
    before = opened(load_duckdb(whole()))
    tables = whole()
    tables["stripe_subscription"]["current_period_end"] = datetime(2031, 1, 1)
    tables["hubspot_company"]["property_lifecyclestage"] = "other"
    after = opened(load_duckdb(tables))
    for name in ("stripe.subscriptions", "hubspot.accounts"):
        frames = [each.tables()[name].execute() for each in (before, after)]
        keys = [key for key in ("account_id", "started_at") if key in frames[0]]
        pd.testing.assert_frame_equal(
            *(frame.sort_values(keys, ignore_index=True) for frame in frames)
        )


def test_a_domain_in_other_letters_is_one_however_it_is_coded(load_duckdb) -> None:
    tables = whole()
    tables["hubspot_company"].loc[1, "property_domain"] = "www.bücher.example"
    tables["stripe_customer"].loc[2, "email"] = "me@xn--bcher-kva.example"
    links = opened(load_duckdb(tables)).links["stripe"].execute()
    assert ("cus_2", "2", "domain") in set(links.itertuples(index=False, name=None))


def test_trials_begin_when_they_are_over_unless_they_count(load_duckdb) -> None:
    tables = stripe() | hubspot()
    tables["stripe_subscription"].loc[1, "trial_end"] = datetime(2024, 7, 1)
    starts = []
    for trials in (False, True):
        vendor = STRIPE.model_copy(update={"trials": trials})
        sources = {"stripe": vendor, "hubspot": SOURCES["hubspot"]}
        rows = listed(
            opened(load_duckdb(tables), sources), "stripe.subscriptions", "account_id", "started_at"
        )
        starts.append(rows)
    assert ("1", datetime(2024, 7, 1)) in starts[0]
    assert ("1", LATER) in starts[1]
    # The trial that ended with its trial is a contract where trials count.
    assert len(starts[1]) == len(starts[0]) + 1
