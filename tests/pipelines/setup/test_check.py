"""``healthscore check``: what the tables hold, counted against the tables themselves."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from features.tables.mapping.finding import CODES, Finding

ROOT = Path(__file__).resolve().parents[3]

LEVELS = {"Serious": "serious", "Warnings": "warning", "Notes": "note"}
ELSEWHERE = '[source]\nurl = "data"\n[tables.accounts]\n[tables.churn_events]\nfrom = "zzz"\n'


def test_the_report_counts_what_the_tables_hold(simulated, tmp_path, run) -> None:
    config = tmp_path / "healthscore.toml"
    run("init", simulated, "-c", config, "--json").answer  # noqa: B018
    report = run("check", "-c", config, "--json").answer
    assert set(report["tables"]) == {path.stem for path in simulated.glob("*.parquet")}
    for name, table in report["tables"].items():
        rows, accounts = duckdb.sql(
            f"select count(*), count(distinct account_id) from '{simulated / name}.parquet'"
        ).fetchall()[0]
        assert (table["rows"], table["accounts"]) == (rows, accounts)
    assert report["absent"] == ["snapshots", "labels"]
    assert report["problems"] == 0
    assert (report["data_start"], report["data_end"]) == ("2024-01-01", "2025-07-01")
    assert report["observation_dates"][0] == "2024-03-01"
    assert report["observation_dates"][-1] == "2025-05-01"
    assert report["groups"]["usage"] > 0
    shown = run("check", "-c", config)
    assert shown.code == 0
    assert "No impossible or unreadable values were found" in shown.out


def test_problems_are_counted_and_shown_once_each(small, run) -> None:
    config = small(
        usage_events="account_id,occurred_at,quantity\n"
        "C1,2024-01-01,-3\nC1,2024-05-01,2\n,2024-02-01,1\nstranger,2024-02-01,1\n",
        config='[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
        "[tables.usage_events]\n",
    )
    report = run("check", "-c", config, "--json").answer
    problems = report["tables"]["usage_events"]["problems"]
    assert report["problems"] == len(problems) == 3
    assert "1 negative values of quantity are impossible and count as missing" in problems
    assert "1 rows without an account_id are ignored" in problems
    shown = run("check", "-c", config)
    for finding in report["tables"]["usage_events"]["findings"]:
        assert finding["text"] in problems
        assert f"! usage_events.{finding['code']}: {finding['text']}" in shown.out


MUTED = """[source]
url = "data"
[tables.accounts]
[tables.subscriptions]
[tables.usage_events]
[tables.invoices]
[check]
mute = [{}]
"""


@pytest.mark.parametrize(
    ("mute", "codes", "muted"),
    [
        ("", ["void-invoices", "table-ends-early", "no-account"], 0),
        ('"table-ends-early", "usage_events.no-account"', ["void-invoices"], 2),
        ('"invoices.no-account"', ["void-invoices", "table-ends-early", "no-account"], 0),
    ],
)
def test_findings_are_muted_and_the_serious_come_first(small, run, mute, codes, muted) -> None:
    config = small(
        usage_events="account_id,occurred_at\nC1,2024-05-30\n,2024-05-30\n",
        invoices="account_id,issued_at,due_at,paid_at,amount,status\n"
        + "".join(f"C1,2024-01-{day:02},2024-02-01,2024-01-20,5,paid\n" for day in range(1, 9))
        + "C1,2024-01-09,2024-02-01,,5,void\n",
        config=MUTED.format(mute),
    )
    report = run("check", "-c", config, "--json").answer
    assert (report["problems"], report["muted"]) == (len(codes), muted)
    shown = run("check", "-c", config)
    lines = [line for line in shown.out.splitlines() if line[:2] in ("‼ ", "! ", "· ")]
    assert sorted(line.split(":")[0].split(".")[1] for line in lines) == sorted(codes)
    assert [line[0] for line in lines] == sorted(line[0] for line in lines)[::-1]
    assert ("muted by [check] mute" in shown.out) == bool(muted)
    early = "its last row is of 2024-01-09, 143 days before the data end, and it never was without"
    assert (early in shown.out) == ("table-ends-early" in codes)


def test_windows_that_are_never_full_are_named(small, run) -> None:
    tables = '[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
    config = small(days=100, config=f"{tables}[tables.usage_events]\n")
    report = run("check", "-c", config, "--json").answer
    assert report["data_start"] == "2024-01-01"
    assert report["data_end"] == "2024-04-10"
    assert {"usage_180d (180 days)", "usage_365d (365 days)"} <= set(report["never_full"])
    assert not any("90d" in name or "28d" in name for name in report["never_full"])
    shown = run("check", "-c", config)
    assert "Look back further than that on every date: " in shown.out
    assert "usage_365d (365 days)" in " ".join(shown.out.split())


@pytest.mark.parametrize(
    ("mute", "message"),
    [
        ("void-invoice", "there is no such code; did you mean 'void-invoices'"),
        ("xyz", "there is no such code; healthscore check shows the code of each finding"),
        ("ticket.no-time", "there is no such table; did you mean 'tickets'"),
        ("q.no-time", "there is no such table; before the point stands a contract table"),
    ],
)
def test_what_is_never_said_cannot_be_muted(small, run, mute, message) -> None:
    ran = run("check", "-c", small(config=MUTED.format(f'"{mute}"')))
    assert ran.code == 2
    assert message in ran.err


def test_the_manual_has_a_section_for_each_code() -> None:
    """In the chapter of its severity, and for nothing else."""
    text = (ROOT / "docs" / "reference" / "findings.md").read_text("utf-8")
    chapters = re.split(r"^## ", text, flags=re.M)[1:]
    told = {
        code: LEVELS[chapter.split("\n")[0]]
        for chapter in chapters
        for code in re.findall(r"^### (\S+)$", chapter, re.M)
    }
    assert told == {code: Finding(code, "").severity for code in CODES}


def test_hostile_words_in_a_report_are_harmless(small, run) -> None:
    config = small(
        config='[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
        '[tables.usage_events]\nfrom = "[red]events"\n',
        **{"[red]events": "account_id,occurred_at\n\x1b[31m[/bold]<b>,2024-01-01\n"},
    )
    shown = run("check", "-c", config)
    assert shown.code == 0, shown.err
    assert "usage_events ([red]events)" in shown.out
    assert "[31m[/bold]<b>" in shown.out
    assert "\x1b" not in shown.out


@pytest.mark.parametrize(
    ("files", "config", "sentence"),
    [
        (
            {},
            ELSEWHERE,
            r"Table 'zzz', mapped to \[tables\.churn_events\], is not in the source 'data'"
            r"; it holds 'accounts', 'subscriptions', 'usage_events'",
        ),
        (
            {"accounts": "acount_id,created_at\nC1,2024-01-01\n"},
            None,
            r"Table 'accounts' has no column 'account_id', needed as accounts\.account_id; did you"
            r" mean 'acount_id'\? \(set it under \[tables\.accounts\]\)",
        ),
        (
            {"accounts": "account_id,created_at\nC1,2024-01-01\nC1,2024-01-02\n"},
            None,
            r"Table 'accounts' must hold each account once and repeats 'C1'; remove the copies",
        ),
        ({"subscriptions": "account_id,started_at\nC1,soon\nC2,later\n"}, None, r".*started_at.*"),
        ({"usage_events": ""}, None, r".*usage_events.*"),
    ],
    ids=["missing table", "missing column", "doubled account", "no dates", "empty file"],
)
def test_tables_that_break_the_contract_are_refused(small, run, files, config, sentence) -> None:
    path = small(**files, **({"config": config} if config else {}))
    ran = run("check", "-c", path)
    assert ran.code == 3
    assert re.fullmatch(sentence, ran.sentence)
    if config:
        assert run("train", "-c", path).sentence == ran.sentence


@pytest.mark.parametrize("url", ["nowhere", "healthscore.toml", "data/accounts.csv"])
def test_a_source_that_is_none_is_named(small, run, url: str) -> None:
    config = small()
    config.write_text(config.read_text("utf-8").replace('"data"', f'"{url}"'), encoding="utf-8")
    ran = run("check", "-c", config)
    assert ran.code == 3
    assert ran.sentence.startswith(
        f"The source '{url}' is neither a folder, a workbook or archive nor a DuckDB file"
    )


def test_a_broken_parquet_file_is_named(small, run) -> None:
    config = small()
    config.write_text(config.read_text() + "\n[tables.tickets]\n")
    broken = config.parent / "data" / "tickets.parquet"
    broken.write_bytes(b"PAR1 this is not it PAR1")
    ran = run("check", "-c", config)
    assert ran.code == 3
    assert f"The file '{broken}' cannot be read as PARQUET" in ran.sentence
