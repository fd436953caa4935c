"""From vendors' exports to a configuration: recognised, drafted, linked, or refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipelines.project.project import load_project
from tests.features.packs.small_company import hubspot, stripe, whole, zendesk

RATE = ("--rate", "jpy=0.01")


def write(folder: Path, tables: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


def test_one_folder_of_all_vendors_is_drafted_and_checks(tmp_path, run) -> None:
    folder, config = write(tmp_path / "data", whole()), tmp_path / "healthscore.toml"
    ran = run("init", folder, "-c", config, *RATE, "--json")
    assert ran.code == 0
    assert ran.answer["doubts"] == [
        "Amounts are in usd (else --currency)",
        "accounts come from hubspot.accounts (else --accounts stripe)",
        "hubspot.accounts: industry, region say what is so today: add to attributes those that"
        " never change",
    ]
    tables = load_project(config).settings.tables.mapped()
    assert {name: mapping.source for name, mapping in tables.items()} == {
        "accounts": "hubspot.accounts",
        "subscriptions": "stripe.subscriptions",
        "tickets": "zendesk.tickets",
    }
    assert load_project(config).settings.source.vendors["stripe"].rates == {"jpy": 0.01}
    checked = run("check", "-c", config, "--json")
    assert checked.code == 0
    assert checked.answer["tables"]["subscriptions"]["rows"] == 4


def test_links_report_rules_money_and_churns(tmp_path, run) -> None:
    folder, config = write(tmp_path / "data", whole()), tmp_path / "healthscore.toml"
    run("init", folder, "-c", config, *RATE)
    links = run("links", "-c", config, "--json").answer["systems"]
    assert links["hubspot"]["is_hub"]
    assert links["stripe"]["rules"] == {"external_id": 2, "domain": 1}
    assert links["stripe"]["running_mrr"] == pytest.approx(90)
    assert links["stripe"]["linked_mrr"] == pytest.approx(80)
    assert (links["stripe"]["ends"], links["stripe"]["linked_ends"]) == (1, 1)
    assert links["stripe"]["examples"] == ["cus_x"]
    assert links["zendesk"]["rows"] == {"tickets": 5}
    assert links["zendesk"]["linked_rows"] == {"tickets": 4}
    assert "89% of it" in run("links", "-c", config).out.replace("88.9%", "89%")


def test_a_folder_and_a_schema_for_each_vendor_are_read_alike(tmp_path, run) -> None:
    parts, database = tmp_path / "parts", tmp_path / "all.duckdb"
    vendors = {"stripe": stripe(), "hubspot": hubspot(), "zendesk": zendesk()}
    with duckdb.connect(str(database)) as connection:
        for vendor, tables in vendors.items():
            bare = {name.partition("_")[2]: frame for name, frame in tables.items()}
            write(parts / vendor, bare)
            connection.execute(f"create schema {vendor}")
            for name, frame in bare.items():
                connection.register("frame", frame)
                connection.execute(f'create table {vendor}."{name}" as select * from frame')
    answers = []
    for place in (parts, database):
        config = tmp_path / f"{place.stem}.toml"
        assert run("init", place, "-c", config, *RATE).code == 0
        answers.append(run("links", "-c", config, "--json").answer)
    assert answers[0] == answers[1]
    assert answers[0]["systems"]["zendesk"]["linked_rows"] == {"tickets": 4}


def test_connect_lists_what_is_recognised_and_what_is_not(tmp_path, run) -> None:
    folder = write(tmp_path / "data", whole() | {"notes": hubspot()["hubspot_company"][["id"]]})
    (folder / "notes.xlsx").write_bytes(b"PK")
    answer = run("connect", folder, "--json").answer
    assert answer["unread"] == ["notes.xlsx"]
    assert [each["pack"] for each in answer["vendors"]] == [
        "hubspot-fivetran", "stripe-fivetran", "zendesk-fivetran"
    ]  # fmt: skip
    assert answer["others"] == ["notes"]
    assert answer["vendors"][1]["absent"] == ["invoice", "charge", "refund"]
    out = run("connect", folder).out
    assert "4 of 7 tables, which give accounts, subscriptions, invoices" not in out
    assert "Not recognised: notes" in out
    assert "Not read: notes.xlsx" in out


def test_a_person_may_say_otherwise(tmp_path, run) -> None:
    folder, config = write(tmp_path / "data", whole()), tmp_path / "healthscore.toml"
    ran = run(
        "init", folder, "-c", config, "--from", "stripe,zendesk", "--currency", "jpy", "--json"
    )
    assert ran.code == 0
    assert "Amounts in usd have no rate" in ran.answer["doubts"][1]
    assert load_project(config).settings.tables.accounts.source == "stripe.accounts"
    ran = run("init", folder, "-c", config, "--force", "--accounts", "stripe")
    assert load_project(config).settings.tables.accounts.source == "stripe.accounts"


def test_a_vendor_that_was_not_asked_for_fills_nothing(tmp_path, run) -> None:
    folder, config = write(tmp_path / "data", whole()), tmp_path / "healthscore.toml"
    run("init", folder, "-c", config, "--from", "stripe", *RATE, "--json").answer  # noqa: B018
    tables = load_project(config).settings.tables.mapped()
    assert {mapping.source for mapping in tables.values()} <= {
        "stripe.accounts",
        "stripe.subscriptions",
        "stripe.invoices",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "strip"), "holds no tables of 'strip'; did you mean 'stripe'"),
        (("--from", "segment"), "holds no tables of 'segment'; healthscore connect lists"),
        (("--accounts", "zendesk"), "No source 'zendesk' fills accounts; known are 'hubspot'"),
        (("--currency", "dollars"), "--currency needs the three letters of a currency"),
        (("--rate", "eur"), "--rate needs a currency and what one unit of it is worth"),
    ],
)
def test_wrong_answers_are_refused(tmp_path, run, options, message) -> None:
    folder = write(tmp_path / "data", whole())
    ran = run("init", folder, "-c", tmp_path / "healthscore.toml", *options)
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "healthscore.toml").exists()


def test_links_without_vendors_says_so(tmp_path, run) -> None:
    config = tmp_path / "healthscore.toml"
    config.write_text('[source]\nurl = "x"\n[tables.accounts]\n[tables.subscriptions]\n')
    ran = run("links", "-c", config)
    assert ran.code == 2
    assert "names no vendor, so nothing is linked" in ran.err


def test_a_source_without_any_place_is_refused(tmp_path, run) -> None:
    config = tmp_path / "healthscore.toml"
    config.write_text('[source.stripe]\npack = "stripe-fivetran"\n[tables.churn_events]\n')
    ran = run("check", "-c", config)
    assert ran.code == 2
    assert "[source] url is required and missing; add it" in ran.err


def test_a_pack_and_a_file_of_links_shape_a_score(tmp_path) -> None:
    config = tmp_path / "healthscore.toml"
    config.write_text(
        '[source]\nurl = "x"\n[source.mine]\npack = "mine.toml"\n[identity]\noverrides = "l.csv"\n'
        "[tables.accounts]\n[tables.subscriptions]\n"
    )
    seen = set()
    for name, text in (("mine.toml", "a"), ("mine.toml", "b"), ("l.csv", "a"), ("l.csv", "b")):
        (tmp_path / name).write_text(text)
        seen.add(load_project(config).fingerprint)
    assert len(seen) == 4
