"""Companies of which too few have left to learn from alone: a first model, and all that follows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.scoring.issued import issued_intervals
from pipelines.project.project import load_project
from pipelines.project.rows import labelled_rows
from pipelines.store.opening import open_store
from pipelines.training.teaching import weighed_in_vain

CONFIG = """\
[source]
url = "data"
[tables.accounts]
attributes = ["plan"]
[tables.subscriptions]
[tables.usage_events]
[outcome]
horizon_days = 30
[scorecard]
weights = { usage = 60, enablement = 40 }
"""
WITHOUT = CONFIG.split("[scorecard]", maxsplit=1)[0]
NO_DATA = (
    "[scorecard] weighs 'enablement', of which no account has data: the first model starts from the"
    " other weights alone"
)
IN_VAIN = (
    "[scorecard] weighs 'enablement', of which no account has data: the model knows no such weight,"
    " and its own are shared among the other groups; map a table that tells it, or weigh the others"
)


def test_a_first_model_is_trained_scored_explained_and_checked(small, run) -> None:
    config = small(churned=8, config=CONFIG)
    trained = run("train", "-c", config, "--json").answer
    prior = trained["prior"]
    assert prior["source"] == "scorecard"
    assert prior["positives"] == trained["counts"]["positives"] > 0
    assert 0 < prior["learnt"] < 1
    assert NO_DATA in trained["warnings"]
    project = load_project(config)
    # A model that outcomes alone taught says the same in its own words.
    assert weighed_in_vain(project, labelled_rows(project)) == [IN_VAIN]
    # What a first model is anchored at is believed, and freezes nothing.
    assert config.read_text(encoding="utf-8") == CONFIG
    sentence = f"This first model is {100 - round(100 * prior['learnt'])} % prior, your own"
    scored = run("score", "-c", config)
    assert scored.code == 0
    assert sentence in " ".join((scored.out + scored.err).split())
    explained = run("explain", "C30", "-c", config, "--json").answer
    assert explained["prior"] == prior
    assert explained["probability_low"] < explained["probability"] < explained["probability_high"]
    # The interval follows from the issued row.
    with open_store(project, read_only=True) as store:
        rows = store.scores(store.runs()[-1]).read_all().to_pandas()
    low, high = issued_intervals(project.registry.champion().model, rows)
    for told in (explained, run("explain", "C41", "-c", config, "--json").answer):
        place = int(np.flatnonzero(rows["account_id"] == told["account_id"])[0])
        assert low[place] == pytest.approx(told["probability_low"], abs=1e-6)
        assert high[place] == pytest.approx(told["probability_high"], abs=1e-6)
    total = explained["baseline_score"] + sum(explained["groups"].values())
    assert explained["score"] == pytest.approx(total, abs=1e-9)
    shown = " ".join(run("explain", "C30", "-c", config).out.split())
    assert "(90 % interval " in shown
    assert sentence in shown
    assert run("verify-run", "-c", config).code == 0
    assert run("verify-store", "-c", config).code == 0
    assert run("monitor", "-c", config).code in (0, 10, 11)
    page = config.parent / "portfolio.html"
    assert run("portfolio", "-c", config, "--out", page).code == 0
    assert "learnt from" in page.read_text(encoding="utf-8")


def test_nobody_has_left_yet(small, run) -> None:
    config = small(churned=0, config=WITHOUT)
    shown = " ".join(run("train", "-c", config).out.split())
    assert "prior, equal weights of the signal groups, and" in shown
    assert "learnt from 0 accounts that churned" in shown
    assert "There were too few outcomes to prove what predicts churn" in shown
    assert run("score", "-c", config, "--json").answer["rows"] == 60


def test_a_scorecard_of_groups_without_data_alone_gives_way_to_equal_weights(small, run) -> None:
    config = small(churned=8, config=WITHOUT + "[scorecard]\nweights = { enablement = 100 }\n")
    trained = run("train", "-c", config, "--json").answer
    assert trained["prior"]["source"] == "equal weights"
    assert NO_DATA in trained["warnings"]
    project = load_project(config)
    # A model that outcomes alone taught says the same in its own words.
    assert weighed_in_vain(project, labelled_rows(project)) == [IN_VAIN]


def test_undated_labels_beside_dated_tables_are_of_the_day_after_the_last_row(small, run) -> None:
    labels = "account_id,happened\n" + "".join(f"C{n},{int(n % 6 == 0)}\n" for n in range(60))
    config = small(
        config=(
            '[source]\nurl = "data"\n[tables.accounts]\n[tables.usage_events]\n[tables.labels]\n'
            '[outcome]\nkind = "label"\n'
        ),
        labels=labels,
    )
    report = run("check", "-c", config, "--json").answer
    assert report["observation_dates"] == ["2024-10-27"]
    assert report["tables"]["labels"]["problems"][0] == (
        "labels carry no dates and are read as of 2024-10-27, the day after the last row of the"
        " tables beside them; map observed_at, or set [source] data_end to the day they are of"
    )
    table = config.parent / "rows.parquet"
    run("features", "-c", config, "--labelled", "--out", table)
    rows = pd.read_parquet(table).set_index("account_id")
    # Fifteen days of tenure more or less would tell another clock.
    assert rows["tenure_days"].unique() == pytest.approx([514.0])
    assert rows["days_since_use"].min() < 2


def test_terms_of_a_year_without_a_renewal_date_are_told(small) -> None:
    lines = [
        f"C{number},2023-06-01,,{'Yearly' if number < 45 else 'half-yearly'}"
        for number in range(60)
    ]
    table = "account_id,started_at,ended_at,billing_period\n" + "\n".join(lines) + "\n"
    known = labelled_rows(load_project(small(config=WITHOUT, subscriptions=table)))
    rows = len(known.table)
    assert known.notes == (
        f"When accounts decide is not known: {rows * 45 // 60:,} of {rows:,} rows are billed by the"
        " year, and no such contract has a renewal date; the score tells the risk in the outcome"
        " window, until renewal_at is mapped under [tables.subscriptions]",
    )
    dated = table.replace("billing_period\n", "billing_period,renewal_at\n").replace(
        "early\n", "early,2099-06-01\n"
    )
    again = load_project(small(config=WITHOUT, subscriptions=dated))
    assert not any(note.startswith("When accounts decide") for note in labelled_rows(again).notes)
