"""A single labelled snapshot in which nothing has a date."""

from __future__ import annotations

import pandas as pd
import pytest

CONFIG = """\
[source]
url = "data"
[tables.accounts]
account_id = "id"
attributes = ["region"]
[tables.snapshots]
account_id = "id"
[tables.labels]
account_id = "id"
happened = "left"
[signals.own]
logins = { group = "usage", healthy = "higher" }
"""
NOTHING_HAS_A_DATE = (
    "nothing has a date: a model is judged on other accounts, not on later dates, and what was"
    " written down after the outcome flatters it"
)


@pytest.fixture
def undated(tmp_path):
    """Write a company of 400 accounts, a third of which left: those that logged in little."""
    ids = [f"C{number}" for number in range(400)]
    left = [int(number % 7 < 2 + (number % 5 == 0)) for number in range(400)]
    logins = [(3 if gone else 8) + number % 12 for number, gone in enumerate(left)]
    data = tmp_path / "data"
    data.mkdir()
    tables = {
        "accounts": {"id": ids, "region": ["north", "south"] * 200},
        "snapshots": {"id": ids, "logins": logins},
        "labels": {"id": [*ids[:-1], "stranger"], "left": left},
    }
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(data / f"{name}.csv", index=False)
    path = tmp_path / "healthscore.toml"
    path.write_text(CONFIG, "utf-8")
    return path


def test_it_is_accepted_with_a_warning_learnt_from_and_scored(undated, run, tmp_path) -> None:
    report = run("check", "-c", undated, "--json").answer
    assert NOTHING_HAS_A_DATE in report["tables"]["labels"]["problems"]
    assert report["tables"]["accounts"]["problems"] == []
    assert len(report["observation_dates"]) == 1
    assert (report["groups"]["usage"], report["groups"]["profile"]) == (1, 1)
    file = tmp_path / "table.parquet"
    answer = run("features", "-c", undated, "--labelled", "--out", file, "--json").answer
    frame = pd.read_parquet(file).set_index("account_id")
    labels = pd.read_csv(undated.parent / "data" / "labels.csv").set_index("id")["left"]
    assert answer["rows"] == len(frame) == 399
    assert frame.happened.to_dict() == labels.drop("stranger").to_dict()
    assert set(frame.columns) == {
        *("observation_date", "happened", "account_age_days", "region", "logins")
    }
    trained = run("train", "-c", undated, "--json").answer
    assert trained["counts"]["holdout_rows"] == 399
    assert trained["metrics"]["auc"] > 0.7
    assert trained["warnings"][-1].startswith("The rows carry no dates: the model was judged on")
    assert run("score", "-c", undated, "--json").answer["rows"] == 400
    assert run("score", "-c", undated).code == 0


def test_it_is_backtested_on_other_accounts(undated, run, tmp_path) -> None:
    rows = tmp_path / "rows.csv"
    ran = run("backtest", "-c", undated, "--out", rows)
    assert ran.code == 0, ran.err
    assert "On accounts it had not seen (nothing here has a date) Healthscore ranked" in (
        " ".join(ran.out.split())
    )
    assert "How early it warned" not in ran.out
    assert f"Wrote {rows}" in ran.out
    tested = pd.read_csv(rows)
    assert sorted(tested["origin"].unique()) == [f"fold {number}" for number in range(1, 6)]
    assert len(tested) == tested["account_id"].nunique() == 399
    assert not tested["treated"].any()
    assert "no dates" in ran.out


def test_labels_hold_each_account_once(undated, run) -> None:
    file = undated.parent / "data" / "labels.csv"
    file.write_text(file.read_text("utf-8") + "C1,1\n", "utf-8")
    ran = run("check", "-c", undated)
    assert (ran.code, ran.sentence) == (
        3,
        "Table 'labels' must hold each account once and repeats 'C1'; remove the copies",
    )


def test_labels_beside_dated_outcomes_are_refused(undated, run) -> None:
    undated.write_text(CONFIG + "[tables.churn_events]\n", "utf-8")
    events = undated.parent / "data" / "churn_events.csv"
    events.write_text("account_id,churned_at\nC1,2024-01-01\n", "utf-8")
    ran = run("check", "-c", undated)
    assert ran.code == 3
    assert ran.sentence.startswith(
        "Table 'labels' holds labels without observed_at, and beside subscriptions or churn_events"
        " a label must name its observation date; map"
    )
