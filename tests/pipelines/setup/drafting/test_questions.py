"""What ``init`` asks: at most five things, none that an option said, each with a default."""

from __future__ import annotations

import re

import duckdb
import ibis
import pytest

from features.errors import SettingsError
from features.sources.duckdb import duckdb_engine
from features.sources.source import Source
from pipelines.setup.draft import write_draft
from pipelines.setup.drafting.questions import MOST_QUESTIONS, answered
from pipelines.setup.drafting.vendors import NO_ANSWERS, Answers, Found, find_vendors
from tests.features.packs.small_company import whole


@pytest.fixture(scope="module")
def vendors() -> list[Found]:
    tables = {name: ibis.memtable(frame) for name, frame in whole().items()}
    return find_vendors(Source(duckdb_engine(), tables, "data"), {})


def asked(
    vendors: list[Found], replies: dict[str, str], answers: Answers = NO_ANSWERS
) -> tuple[Answers, list[str]]:
    questions: list[str] = []

    def ask(text: str, default: str) -> str:
        questions.append(text)
        return next((reply for words, reply in replies.items() if words in text), default)

    return answered(answers, vendors, ["usd", "jpy"], ask), questions


def test_defaults_are_what_nobody_is_asked_gets(vendors: list[Found]) -> None:
    answers, questions = asked(vendors, {})
    assert answers == Answers(currency="usd", trials=False)
    assert len(questions) <= MOST_QUESTIONS
    assert questions[0] == "Which system says who is an account (hubspot, stripe, own)?"


def test_answers_are_read(vendors: list[Found]) -> None:
    replies = {
        "who is an account": "stripe",
        "currency": "EUR usd=0.9 jpy=0.006",
        "no customers": "ours.com, Test Inc",
        "trials": "yes",
    }
    assert asked(vendors, replies)[0] == Answers(
        accounts="stripe",
        currency="eur",
        rates={"usd": 0.9, "jpy": 0.006},
        leave_out=("ours.com", "Test Inc"),
        trials=True,
    )


def test_what_an_option_said_is_not_asked(vendors: list[Found]) -> None:
    said = Answers(
        accounts="stripe", contracts="stripe", currency="usd", leave_out=("x",), trials=False
    )
    assert asked(vendors, {}, said) == (said, [])


def test_a_rate_that_is_none_is_refused(vendors: list[Found]) -> None:
    with pytest.raises(SettingsError, match="--rate needs a currency"):
        asked(vendors, {"currency": "usd jpy"})


@pytest.mark.parametrize(
    ("replies", "sentence"),
    [
        ({"currency": "?"}, "--currency needs the three letters of a currency, such as usd, found"),
        ({"trials": "maybe"}, "Whether trials count as contracts is yes or no, found 'maybe'"),
    ],
)
def test_an_answer_that_is_none_is_refused(
    vendors: list[Found], replies: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        asked(vendors, replies)


def test_rates_alone_leave_the_currency_as_offered(vendors: list[Found]) -> None:
    answers = asked(vendors, {"currency": "jpy=0.006 eur=1.1"})[0]
    assert (answers.currency, answers.rates) == ("usd", {"jpy": 0.006, "eur": 1.1})


def test_a_wrong_answer_leaves_no_file(tmp_path) -> None:
    for name, frame in whole().items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    config = tmp_path / "h.toml"
    with pytest.raises(SettingsError, match="--currency needs"):
        write_draft(tmp_path, config, ask=lambda text, default: "??" if "currency" in text else "")
    assert not config.exists()


def test_without_a_terminal_nothing_is_asked(tmp_path, run) -> None:
    with duckdb.connect(str(tmp_path / "all.duckdb")) as connection:
        for name, frame in whole().items():
            connection.register("frame", frame)
            connection.execute(f'create table "{name}" as select * from frame')
    options = ("--leave-out", "beta.io", "--leave-out", "Nobody", "--trials", "--rate", "jpy=0.01")
    config = tmp_path / "h.toml"
    assert run("init", tmp_path / "all.duckdb", "-c", config, *options).code == 0
    text = config.read_text()
    assert 'leave_out = ["beta.io", "Nobody"]' in text
    assert "trials = true" in text
    answer = run("check", "-c", config, "--json").answer
    findings = [each["text"] for each in answer["tables"]["accounts"]["findings"]]
    assert "1 rows are left out by leave_out: 'beta.io'" in findings
    kept = "1 rows are left out by the pack, which keeps: "
    assert any(text.startswith(kept) for text in findings)
    # What is so today is no attribute until a person adds it, and is told then.
    assert "attributes = []" in text
    config.write_text(text.replace("attributes = []", 'attributes = ["industry"]'))
    answer = run("check", "-c", config, "--json").answer
    codes = [each["code"] for each in answer["tables"]["accounts"]["findings"]]
    assert "attributes-of-today" in codes
