"""``healthscore experiment``: planned from issued runs, drawn once, read as drawn."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

import pipelines.plays.experiment.read as reading_of
from models.measures.estimate import Estimate
from models.plays.experiment import Reading
from models.plays.savable import Trial
from pipelines.plays.experiment.ledger import Assignment, Draw, Ledger
from pipelines.plays.experiment.read import settled
from pipelines.project.project import load_project
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store
from tests.pipelines.conftest import copy_of

SECTION = """
[experiments.call]
play = "call"
share = 0.5
bands = ["at-risk", "watch", "healthy"]
smallest_change = 0.02
"""


@pytest.fixture
def place(scored, tmp_path) -> Path:
    """A copy of the company that was scored twice, with an experiment."""
    copy_of(scored, tmp_path / "copy")
    config = tmp_path / "copy" / "healthscore.toml"
    with config.open("a", encoding="utf-8") as file:
        file.write(SECTION)
    return config


def scores_of(config: Path, as_of: date | None = None):
    with open_store(load_project(config), read_only=True) as store:
        return store.scores(issued_run(store, "main", as_of)).read_all().to_pandas()


def test_accounts_are_drawn_once_and_stay(place: Path, run, tmp_path: Path) -> None:
    early = run("experiment", "assign", "call", "-c", place, "--as-of", "2025-03-15", "--json")
    rows = scores_of(place, date(2025, 3, 15))
    drawn = {one["account_id"]: one for one in early.answer["fresh"]}
    assert set(drawn) == set(rows["account_id"])
    assert {one["account_id"]: one["risk"] for one in drawn.values()} == dict(
        zip(rows["account_id"], rows["probability"], strict=True)
    )
    alone = sum(one["left_alone"] for one in drawn.values())
    assert abs(alone - len(drawn) / 2) <= 2 * rows["segment"].nunique()
    file = tmp_path / "calls.csv"
    late = run("experiment", "assign", "call", "-c", place, "--out", file, "--json").answer
    assert late["before"] == len(drawn)
    fresh = {one["account_id"] for one in late["fresh"]}
    assert fresh == set(scores_of(place)["account_id"]) - set(drawn)
    with file.open(newline="", encoding="utf-8") as read:
        table = list(csv.DictReader(read))
    assert {row["arm"] for row in table} <= {"left alone", "acted on"}
    assert len(table) == len(fresh)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in table for cell in row.values())
    again = run("experiment", "assign", "call", "-c", place)
    assert again.out.startswith("0 accounts of ")
    older = run("experiment", "assign", "call", "-c", place, "--as-of", "2025-03-15")
    assert older.code == 3
    assert "was last drawn by scores of" in older.err


def test_named_and_large_accounts_take_no_part(place: Path, run) -> None:
    rows = scores_of(place)
    spared = rows["account_id"].iloc[0]
    text = place.read_text("utf-8")
    limit = 12 * rows["mrr"].median()
    place.write_text(f"{text}exclude = ['{spared}']\nmost_arr = {limit}\n", encoding="utf-8")
    drawn = run("experiment", "assign", "call", "-c", place, "--json").answer["fresh"]
    kept = rows[(rows["account_id"] != spared) & ~(12 * rows["mrr"] > limit)]
    assert {one["account_id"] for one in drawn} == set(kept["account_id"])


def test_a_plan_counts_who_comes(place: Path, run) -> None:
    answer = run("experiment", "plan", "call", "-c", place, "--json").answer
    now, before = scores_of(place), scores_of(place, date(2025, 3, 15))
    came = set(now["account_id"]) - set(before["account_id"])
    days = (date(2025, 7, 1) - date(2025, 3, 15)).days
    assert answer["now"] == len(now)
    assert answer["each_month"] == pytest.approx(len(came) * 30.4 / days)
    assert answer["risk"] == pytest.approx(now["probability"].mean())
    shown = run("experiment", "plan", "call", "-c", place)
    assert f"{len(now)} accounts now and" in shown.out
    assert "however often one looks" in " ".join(shown.out.split())


def test_little_risk_holds_no_large_change(place: Path, run) -> None:
    text = place.read_text("utf-8").replace("smallest_change = 0.02", "smallest_change = 0.9")
    place.write_text(text, encoding="utf-8")
    shown = run("experiment", "plan", "call", "-c", place)
    assert "No change of 90 of 100 can be found" in shown.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("plan", "cal"), 2, "There is no experiment 'cal'; did you mean 'call'?"),
        (("read", "call"), 4, "Nobody was assigned in experiment 'call' yet; draw with"),
        (("assign", "call", "--out", "x.xlsx"), 2, "written as .csv, and 'x.xlsx' is none"),
        (("assign", "call", "--as-of", "2020-01-01"), 6, "No run as of 2020-01-01 was issued"),
    ],
)
def test_what_cannot_be_is_one_sentence(place: Path, run, arguments, code, message) -> None:
    ran = run("experiment", *arguments, "-c", place)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert not place.with_name("experiments.jsonl").exists()


READ = (
    """\
[source]
url = "data"
[tables.accounts]
[tables.subscriptions]
[tables.usage_events]
[tables.interventions]
"""
    + SECTION
)
ACTS = "account_id,occurred_at,play\nC0,2024-01-10,call\nC1,2024-01-10,visit\nC40,2024-01-05,call\n"


def drawn(config: Path, share: float = 0.5, as_of: date = date(2024, 1, 2)) -> None:
    """Draw accounts by hand: even numbers are left alone, two in three of owner Ana."""
    rows = tuple(
        Assignment(f"C{number}", number % 2 == 0, "", 0.4, ("Ana", "Ana", "Ben")[number % 3])
        for number in range(60)
    )
    ledger = Ledger(config.with_name("experiments.jsonl"))
    with ledger.adding():
        ledger.add(Draw("call", as_of, datetime(2024, 1, 2, tzinfo=UTC), "1", share, 1, rows))


def test_arms_are_compared_as_they_were_drawn(small, run) -> None:
    config = small(churned=30, days=300, config=READ, interventions=ACTS)
    drawn(config)
    text = config.read_text("utf-8")
    # Churn comes from the 70th day on: the window is made to hold it.
    config.write_text(text + "[outcome]\nlead_days = 0\nhorizon_days = 120\n", encoding="utf-8")
    answer = run("experiment", "read", "call", "-c", config, "--json").answer
    churned = [number for number in range(30) if 71 + 3 * number - 2 < 120]
    reading = answer["reading"]
    assert reading["churned_left_alone"] == sum(number % 2 == 0 for number in churned)
    assert reading["churned_acted"] == sum(number % 2 for number in churned)
    assert (reading["acted"], reading["left_alone"]) == (30, 30)
    assert (answer["left_alone_acted"], answer["acted_missed"]) == (2, 30)
    assert (answer["owners_of_both"], answer["waiting"]) == (2, 0)
    assert answer["verdict"] == "not settled"
    shown = " ".join(run("experiment", "read", "call", "-c", config).out.split())
    assert "'call': not settled" in shown
    assert "2 of 30 to be left alone were acted on, and 30 of 30 to be acted on were not" in shown
    assert "2 owners looked after accounts of both kinds" in shown


def test_who_was_called_after_all_is_known_by_any_name_of_the_play(small, run) -> None:
    rows = ("C0,2024-01-10,Phone", "C2,2024-01-11, CALL", "C4,2024-01-12,visit")
    acts = "\n".join(["account_id,occurred_at,play", *rows, ""])
    config = small(churned=30, days=300, config=READ, interventions=acts)
    drawn(config)
    renamed = '[plays.renamed]\nphone = "call"\n'
    config.write_text(config.read_text("utf-8") + renamed, encoding="utf-8")
    answer = run("experiment", "read", "call", "-c", config, "--json").answer
    assert (answer["left_alone_acted"], answer["acted_missed"]) == (2, 30)


def test_a_play_that_nobody_logs_is_told(small, run) -> None:
    acts = ACTS.replace(",call", ",workshop")
    config = small(churned=30, days=300, config=READ, interventions=acts)
    drawn(config)
    shown = " ".join(run("experiment", "read", "call", "-c", config).out.split())
    assert "No intervention is called 'call', so that nobody knows who was acted on" in shown
    assert "on record are 'visit', 'workshop'" in shown


def test_what_was_settled_is_handed_on_and_an_edited_ledger_stops_nothing(
    small, monkeypatch
) -> None:
    config = small(churned=30, config=READ, interventions=ACTS)
    project = load_project(config)
    assert settled(project) == ((), [])
    drawn(config)
    for change, trials in (
        (Estimate(-0.15, -0.2, -0.1), (Trial("call", (), 0.2, -0.15, -0.2, -0.1),)),
        (Estimate(-0.15, -0.3, 0.1), ()),
        (Estimate(), ()),
    ):
        said = SimpleNamespace(reading=Reading(100, 100, 5, 20, change))
        monkeypatch.setattr(reading_of, "read", lambda *_, said=said: said)
        assert settled(project) == (trials, [])
    ledger = config.with_name("experiments.jsonl")
    ledger.write_text(ledger.read_text("utf-8").replace("Ana", "Eve"), encoding="utf-8")
    trials, notes = settled(project)
    assert trials == ()
    assert "is not as it was written" in notes[0]


def test_what_is_not_known_yet_is_waited_for(small, run) -> None:
    config = small(churned=30, config=READ, interventions=ACTS)
    drawn(config, as_of=date(2024, 10, 20))
    ran = run("experiment", "read", "call", "-c", config)
    assert ran.code == 4
    assert "No outcome of experiment 'call' is known until 30 days after 2024-10-20" in ran.err


def test_shares_that_changed_are_refused(small, run) -> None:
    config = small(churned=30, config=READ, interventions=ACTS)
    drawn(config)
    drawn(config, share=0.25)
    ran = run("experiment", "read", "call", "-c", config)
    assert ran.code == 3
    assert "was drawn with the shares 0.25, 0.5, and all its accounts must" in ran.err


def test_another_outcome_is_refused(small, run) -> None:
    config = small(churned=30, config=READ, interventions=ACTS)
    drawn(config)
    with config.open("a", encoding="utf-8") as file:
        file.write('[outcomes.growth]\nkind = "expansion"\n')
    ran = run("experiment", "read", "call", "-c", config, "--outcome", "growth")
    assert ran.code == 2
    assert "Experiments are read by churn, and the outcome 'growth' is expansion" in ran.err
