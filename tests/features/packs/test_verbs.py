"""Verbs of packs: what each gives, and that nothing else is let through."""

from __future__ import annotations

import contextlib
from datetime import datetime

import ibis
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import DataError, SettingsError
from features.packs.verbs import Scope, compiled, condition, names_in, plain
from features.sources.files.domains import clean_domain

ROW = {
    "amount": [12_50],
    "Currency": ["JPY"],
    "Created (UTC)": ["2024-02-29 10:30"],
    "seconds": [1_709_202_600],
    "millis": [1_709_202_600_000],
    "micros": [1_709_202_600_000_000],
    "meta": ['{"external_id": "A 1", "n": 7, "gone": null}'],
    "live": ["true"],
    "status": ["Past_Due"],
    "interval": ["year"],
    "empty": [None],
}


def scope(**options: object) -> Scope:
    table = ibis.memtable(pd.DataFrame(ROW).astype({"empty": "string"}))
    return Scope(table, "Pack 'x' [tables.y]", "z", **options)  # type: ignore[arg-type]


def value(text: str, **options: object) -> object:
    rows = scope(**options)
    return ibis.duckdb.connect().execute(rows.table.select(it=compiled(text, rows)))["it"][0]


@pytest.mark.parametrize(
    ("text", "without", "counted"),
    [
        ("trial(status == 'past_due')", True, False),
        ("trial(status == 'other')", False, False),
        ("paid_from('2024-01-01', '2024-01-15')", datetime(2024, 1, 15), datetime(2024, 1, 1)),
        ("paid_from('2024-01-01', empty)", datetime(2024, 1, 1), datetime(2024, 1, 1)),
        ("paid_from('2024-01-01', '2023-12-01')", datetime(2024, 1, 1), datetime(2024, 1, 1)),
    ],
)
def test_trials_are_no_contracts_unless_they_count(
    text: str, without: object, counted: object
) -> None:
    assert value(text) == without
    assert value(text, trials=True) == counted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("money(amount, currency)", 1250 * 0.0067),
        ("money(amount, 'eur')", 12.5 * 1.1),
        ("money(amount, 'usd')", 12.5),
        ("amount(amount, 'usd')", 1250.0),
        ("money(amount, 'usd') * 2 / months(interval)", 25 / 12),
        ("months(interval, 2)", 24.0),
        ("time(created_utc)", datetime(2024, 2, 29, 10, 30)),
        ("time(seconds)", datetime(2024, 2, 29, 10, 30)),
        ("time(millis)", datetime(2024, 2, 29, 10, 30)),
        ("time(micros)", datetime(2024, 2, 29, 10, 30)),
        ("json(meta, 'none', 'external_id')", "A 1"),
        ("json(meta, 'n')", "7"),
        ("external(meta)", "A 1"),
        ("first(empty, status)", "Past_Due"),
        ("when(live and status == 'past_due', 'yes', 'no')", "yes"),
        ("words(status, 'w')", "late"),
        ("concat('user ', amount)", "user 1250"),
        ("maybe(nowhere, amount)", 1250),
        ("hours(time('2024-01-02'), time('2024-01-01'))", 24.0),
    ],
)
def test_a_verb_gives_what_it_says(text: str, expected: object) -> None:
    rates = {"eur": 1.1, "jpy": 0.0067}
    got = value(text, currency="usd", rates=rates, words={"w": {"past_due": "late"}})
    assert got == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("money(amount, currency)", True),
        ("json(meta, 'gone')", True),
        ("json(meta, 'x')", True),
        ("maybe(nowhere)", True),
        ("empty is None", False),
    ],
)
def test_what_is_not_known_is_missing(text: str, missing: bool) -> None:
    assert bool(pd.isna(value(text, currency="usd"))) is missing


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('ls')",
        "amount.__class__",
        "[amount for amount in status]",
        "lambda: amount",
        "amount if live else status",
        "amount ** 2",
        "f'{amount}'",
        "open('x')",
        "amount[0]",
        "1 < amount < 2",
        "time(created_utc",
        "",
        "(" * 5000,
    ],
)
def test_what_is_no_verb_is_refused(text: str) -> None:
    with pytest.raises((SettingsError, DataError)):
        compiled(text, scope())


def test_each_refusal_names_its_cause() -> None:
    with pytest.raises(SettingsError, match="'tim' is no verb of packs; did you mean 'time'"):
        compiled("tim(amount)", scope())
    with pytest.raises(DataError, match=r"Table 'z' has no column 'amout', .* the vendor's layout"):
        compiled("amout", scope())
    with pytest.raises(SettingsError, match="reads 'status', which says what is so today"):
        compiled("lower(status)", scope(today_only=frozenset({"status"})))
    with pytest.raises(SettingsError, match="no currency is named; set currency, such as currency"):
        compiled("money(amount, currency)", scope())
    with pytest.raises(SettingsError, match="calls 'months' with what it does not take"):
        compiled("months()", scope())
    with pytest.raises(SettingsError, match="names a list of words 'w' that is not there"):
        compiled("words(status, 'w')", scope())


def test_a_condition_of_nothing_is_false() -> None:
    holds = condition("empty == 'x'", scope())
    assert not ibis.duckdb.connect().execute(holds.name("it"))[0]
    assert ibis.duckdb.connect().execute(condition("not flag(empty)", scope()).name("it"))[0]


def test_columns_of_joined_tables_are_told_apart() -> None:
    assert sorted(names_in("sum(plan.amount * quantity)", "")) == ["plan.amount", "quantity"]


@given(st.text(max_size=30))
def test_any_text_ends_in_a_value_or_a_sentence(text: str) -> None:
    with contextlib.suppress(SettingsError, DataError):
        compiled(text, scope(currency="usd"))


@given(st.text())
def test_a_plain_name_is_plain_already(name: str) -> None:
    assert plain(plain(name)) == plain(name)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("U.1@WWW.Acme.com", "acme.com"),
        ("https://www.acme.com/about?x=1", "acme.com"),
        ("acme.co.uk.", "acme.co.uk"),
        ("someone@gmail.com", None),
        ("localhost", None),
        ("a b.com", None),
        ("", None),
    ],
)
def test_a_domain_is_that_of_a_company(text: str, domain: str | None) -> None:
    got = ibis.duckdb.connect().execute(clean_domain(ibis.literal(text)))
    assert (None if pd.isna(got) else got) == domain
