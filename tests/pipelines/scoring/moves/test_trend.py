"""``healthscore trend``: what was issued, told over time and drawn."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from features.outcomes.settings import WORDS
from pipelines.project.project import load_project
from pipelines.scoring.moves.trend import AccountTrend, BandCount, PortfolioRun, PortfolioTrend
from pipelines.scoring.moves.trend_screen import show_trend
from pipelines.store.issued import DatedScore
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from pipelines.store.schema import SCORE_SCHEMA

CONFIG = """\
[source]
url = "data"
[tables.accounts]
[tables.subscriptions]
[tables.usage_events]
[outcomes.grow]
kind = "adoption"
horizon_days = 60
target = { measure = "events", at_least = 3 }
"""
START = date(2025, 1, 5)
HOSTILE = '<b>[/red]\x1b[31m$x_1$ עברית & "Söhne" ]]></svg>'
SVG = "{http://www.w3.org/2000/svg}"


def band_of(score: float) -> str:
    return "at-risk" if score < 40 else "watch" if score < 55 else "healthy"


def issue(config: Path, day: date, version: str, outcome="main", *, force=False, **scores) -> None:
    """Issue a run of accounts with given (score, mrr) or (score, mrr, band)."""
    rows = []
    for account, (score, mrr, *band) in scores.items():
        given = {
            "account_id": account,
            "segment": "plan=a",
            "score": score,
            "band": band[0] if band else band_of(score),
            "grade": "",
            "probability": 1 - score / 100,
            "mrr": mrr,
            "reason_signals": [],
            "reason_points": [],
            "reason_values": [],
        }
        rows.append({field.name: given.get(field.name, 0.0) for field in SCORE_SCHEMA})
    batch = pa.RecordBatch.from_pylist(rows, schema=SCORE_SCHEMA)
    project = load_project(config)
    with (
        open_store(project, read_only=False) as store,
        store.issue(RunKey(outcome, day, version), {}, force=force) as writer,
    ):
        writer.write(batch)
        writer.finish({})


def written(folder: Path) -> Path:
    """Write a configuration; a trend needs no table."""
    folder.mkdir(exist_ok=True)
    config = folder / "healthscore.toml"
    config.write_text(CONFIG, encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs, the second of which was made again by the next model and then revised."""
    config = written(tmp_path_factory.mktemp("trend"))
    other = {HOSTILE: (90.0, None)}
    issue(config, START, "1", **{"C1": (70.0, 100.0), "C2": (30.0, 50.5), **other})
    second = START + timedelta(days=30)
    issue(config, second, "1", C1=(50.0, 100.0), C2=(20.0, 50.5))
    issue(config, second, "2", C1=(45.0, 100.0), C2=(25.0, 50.5), C3=(80.0, None))
    issue(config, second, "2", force=True, C1=(44.0, 120.0), C2=(26.0, 50.5))
    issue(config, START + timedelta(days=61), "2", C1=(20.0, 120.0), C3=(99.9, 10.0))
    return config


def test_an_account_s_trend_is_what_was_issued_last_of_each_date(company, run) -> None:
    told = run("trend", "C1", "-c", company, "--json").answer
    assert (told["account_id"], told["outcome"]) == ("C1", "main")
    shown = [
        (score["as_of"], score["score"], score["band"], score["model_version"], score["revision"])
        for score in told["scores"]
    ]
    assert shown == [
        ("2025-01-05", 70.0, "healthy", "1", 1),
        ("2025-02-04", 44.0, "watch", "2", 2),
        ("2025-03-07", 20.0, "at-risk", "2", 1),
    ]
    assert told["model_changes"] == [{"as_of": "2025-02-04", "before": "1", "after": "2"}]
    assert all(re.fullmatch(r"20\d\d-.*T.*Z", score["issued_at"]) for score in told["scores"])
    # Who was in the first revision of a run alone was not in the one that counts.
    gone = run("trend", "C3", "-c", company, "--json").answer
    assert [score["as_of"] for score in gone["scores"]] == ["2025-03-07"]


def test_the_screen_of_an_account(company, run) -> None:
    ran = run("trend", "C1", "-c", company)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "C1: 3 issued scores (churn)"
    columns = [line[6:] for line in lines[1:11]]
    # Full lines of ten points, the rest in eighths; the rule stands where the model changed.
    assert [column[:5].strip(" ") for column in columns] == ["", "", "", *["█████"] * 7]
    assert [column[6:11].strip(" ") for column in columns][5:] == ["▃▃▃▃▃", *["█████"] * 4]
    assert {column[5] for column in columns} == {"┊"}
    assert lines[11].split() == ["▲", "◆", "▼"]
    assert lines[12].split() == ["2025-01-05", "to", "2025-03-07"]
    assert lines[13].split("┊ ")[1] == "model 2 from 2025-02-04"
    table = [" ".join(line.split()) for line in lines]
    assert "2025-01-05 70.0 ▲ healthy 30.0 % 1" in table
    assert "2025-02-04 44.0 −26.0 ◆ watch 56.0 % 2 ← 1" in table
    assert "2025-03-07 20.0 −24.0 ▼ at-risk 80.0 % 2" in table


def test_the_portfolio_s_trend_adds_up(company, run) -> None:
    told = run("trend", "-c", company, "--json").answer
    first, second, third = told["runs"]
    assert [r["as_of"] for r in told["runs"]] == ["2025-01-05", "2025-02-04", "2025-03-07"]
    assert first["accounts"] == 3
    assert first["mean_score"] == pytest.approx((70 + 30 + 90) / 3)
    assert first["mrr"] == pytest.approx(150.5)
    assert first["bands"] == [
        {"band": "at-risk", "accounts": 1, "mrr": 50.5},
        {"band": "watch", "accounts": 0, "mrr": None},
        {"band": "healthy", "accounts": 2, "mrr": 100.0},
    ]
    assert (second["accounts"], second["model_version"]) == (2, "2")
    assert second["mean_score"] == pytest.approx(35.0)
    assert third["mrr"] == pytest.approx(130.0)
    assert told["model_changes"] == [{"as_of": "2025-02-04", "before": "1", "after": "2"}]
    ran = run("trend", "-c", company)
    assert (ran.code, ran.err) == (0, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert f"2025-01-05 {'█' * 10}{'░' * 20} 63.3 1" in lines
    assert f"2025-02-04 {'█' * 15}{'▒' * 15} 35.0 −28.3 2 ← 1" in lines
    assert "█ at-risk ▒ watch ░ healthy" in lines
    assert "Date at-risk MRR watch MRR healthy MRR" in lines
    assert "2025-01-05 1 50 0 – 2 100" in lines


def test_without_mrr_no_money_is_told(run, tmp_path) -> None:
    config = written(tmp_path)
    issue(config, START, "1", C1=(70.0, None))
    ran = run("trend", "-c", config, "--svg", tmp_path / "t.svg")
    assert ran.code == 0
    assert "MRR" not in ran.out
    assert "Portfolio: 1 issued run (churn)" in ran.out
    assert "MRR" not in (tmp_path / "t.svg").read_text("utf-8")


def test_a_good_outcome_has_its_own_scores_bands_and_words(run, tmp_path) -> None:
    config, drawn = written(tmp_path), tmp_path / "grow.svg"
    issue(config, START, "9", "grow", C1=(80.0, 1.0, "likely"), C2=(10.0, 2.0, "unlikely"))
    told = run("trend", "-c", config, "--outcome", "grow", "--json").answer
    assert [band["band"] for band in told["runs"][0]["bands"]] == ["likely", "possible", "unlikely"]
    ran = run("trend", "C1", "-c", config, "--outcome", "grow", "--svg", drawn)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "C1: 1 issued score (adoption)"
    assert "▲ likely" in ran.out
    assert ran.out.endswith(f"Wrote {drawn}\n")
    assert "likely" in drawn.read_text("utf-8")
    ran = run("trend", "C9", "-c", config, "--outcome", "grow")
    assert (ran.code, ran.sentence) == (
        3,
        "No score of account 'C9' was issued for outcome 'grow'; check its id, or issue scores of"
        " a date on which it was active with 'healthscore score --as-of DATE'",
    )


def printed(trend: AccountTrend | PortfolioTrend, width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), markup=False)
    show_trend(console, trend)
    return console.export_text().splitlines()


def test_long_histories_are_thinned_to_the_width_and_the_newest_stays() -> None:
    scores = [
        DatedScore(
            START + timedelta(days=number),
            score=float(number),
            band=band_of(number),
            probability=0.5,
            segment="all",
            model_version=str(1 + number // 50),
            issued_at=datetime(2025, 9, 1),
            revision=1,
        )
        for number in range(80)
    ]
    for width, every in ((80, 3), (40, 5), (30, 7), (200, 3)):
        lines = printed(AccountTrend("C1", "main", scores, WORDS["churn"]), width)
        assert lines[0] == "C1: 80 issued scores (churn)"
        if width >= 80:
            assert max(map(len, lines)) <= 80
            assert f"to 2025-03-25, one score of every {every}" in lines[12]
            assert "model 2 from 2025-02-24" in lines[13]
        assert lines[11].split()[-1] == "▲"
        assert len(lines[11].split()) == -(-80 // every)
        assert " ".join("".join(lines[-2:]).split()).endswith("newest 12 of 80; --json gives all")
    run = PortfolioRun(START, "1", datetime(2025, 9, 1), 0, 0.0, None, [])
    counts = [BandCount("at-risk", 0, None), BandCount("watch", 3, 1e6), BandCount("healthy", 0, 5)]
    runs = [
        replace(run, as_of=START + timedelta(days=number), accounts=3, mrr=1e6, bands=counts)
        for number in range(80)
    ]
    lines = printed(PortfolioTrend("main", runs, WORDS["churn"]), 80)
    assert lines[-1] == "The newest 12 of 80; --json gives all"
    assert len([line for line in lines if line.strip().startswith("2025-")]) == 24
    assert len([line for line in lines if "▒" * 30 in line]) == 12


def test_hostile_names_are_harmless_on_every_way_out(company, run, tmp_path) -> None:
    ran = run("trend", "-c", company, "--svg", tmp_path / "t.svg", "--", HOSTILE)
    assert ran.code == 0
    assert not [c for c in ran.out if c != "\n" and not c.isprintable()]
    assert ran.out.startswith("<b>[/red] [31m$x_1$ עברית")
    told = run("trend", "-c", company, "--json", "--", HOSTILE).answer
    assert told["account_id"] == HOSTILE
    picture = ET.parse(tmp_path / "t.svg").getroot()
    title = picture.find(f"{SVG}title")
    assert title is not None
    assert title.text == f"Health score of {HOSTILE.replace(chr(27), ' ')} over time, churn"
    assert {element.tag for element in picture.iter()} & {f"{SVG}script", f"{SVG}b"} == set()


@pytest.mark.parametrize("account", ["C1", None])
def test_the_picture_has_a_text_alternative_and_is_the_same_twice(
    company, run, tmp_path, account
) -> None:
    texts = []
    for name in ("a.svg", "b.SVG"):
        arguments = [] if account is None else [account]
        assert run("trend", *arguments, "-c", company, "--svg", tmp_path / name).code == 0
        texts.append((tmp_path / name).read_text("utf-8"))
    assert texts[0] == texts[1]
    picture = ET.fromstring(texts[0])
    assert picture.get("role") == "img"
    ids = (picture.get("aria-labelledby") or "").split()
    told = [picture.find(f".//*[@id='{one}']") for one in ids]
    assert [element.tag for element in told if element is not None] == [f"{SVG}title", f"{SVG}desc"]
    said = told[1].text if told[1] is not None else None
    if account:
        assert said == (
            "3 issued scores: 70.0 (healthy) on 2025-01-05, 20.0 (at-risk) on 2025-03-07, lowest"
            " 20.0, highest 70.0. Model version 2 from 2025-02-04."
        )
    else:
        assert said == (
            "3 issued runs. On 2025-01-05: mean score 63.3; accounts at-risk 1, watch 0, healthy 2."
            " On 2025-03-07: mean score 60.0; accounts at-risk 1, watch 0, healthy 1."
            " Model version 2 from 2025-02-04."
        )


def test_a_picture_of_another_kind_is_refused_before_any_work(company, run, tmp_path) -> None:
    ran = run("trend", "-c", tmp_path / "nowhere.toml", "--svg", tmp_path / "t.png")
    assert (ran.code, ran.sentence) == (
        2,
        f"The picture is written as .svg, and '{tmp_path / 't.png'}' ends in '.png'; name another"
        " file with --svg",
    )
    ran = run("trend", "-c", company, "--svg", tmp_path / "no" / "such" / "t.svg")
    assert ran.code == 1
    assert "No such file or directory" in ran.sentence


def test_nothing_was_issued(company, run, tmp_path) -> None:
    for account in ([], ["C1"]):
        ran = run("trend", *account, "-c", company, "--outcome", "grow")
        assert (ran.code, ran.sentence) == (
            6,
            "No scores were issued yet for outcome 'grow'; issue some with 'healthscore score'",
        )
    store = tmp_path / "scores.duckdb"
    for account in ([], ["C1"]):
        ran = run("trend", *account, "-c", written(tmp_path))
        assert (ran.code, ran.sentence) == (
            6,
            f"The score store '{store}' does not exist; issue scores with 'healthscore score'",
        )
    assert not store.exists()


@pytest.mark.parametrize("account", ["c1", "", "x" * 5000, "\x1b[2J'; drop table runs --"])
def test_an_account_without_scores_is_one_sentence(company, run, account) -> None:
    ran = run("trend", "-c", company, "--", account)
    assert ran.code == 3
    shown = " ".join(account.replace("\x1b", " ")[:60].split())
    assert ran.sentence.startswith("No score of account '")
    assert shown in ran.sentence
    assert "\x1b" not in ran.err
