"""``healthscore train``: what it proves, what it freezes, and which histories it refuses."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from models.registry.models import Registry
from models.training.coding import code_frame
from pipelines.project.project import load_project
from pipelines.project.rows import LabelledRows, labelled_rows

METRICS = "auc auc_low auc_high log_loss log_loss_base ece top_decile_lift".split()

# Active on the first of a month, gone within [14, 44) days of it: read straight off the tables.
LABELS = """
with days as (
    select unnest(generate_series(date '2024-03-01', date '2025-05-01', interval 1 month)) as day
), active as (
    select distinct day, account_id
    from days join '{data}/subscriptions.parquet' s
        on s.started_at < day and (s.ended_at is null or s.ended_at >= day)
    join '{data}/accounts.parquet' a using (account_id)
    where a.created_at < day
), coming as (
    select day, active.account_id, min(churned_at) as next
    from active left join '{data}/churn_events.parquet' c
        on c.account_id = active.account_id and c.churned_at >= day
    group by all
)
select count(*), count(distinct account_id),
    count(*) filter (next >= day + interval 14 day and next < day + interval 44 day)
from coming where (next is null or next >= day + interval 14 day)
"""
LEFT_ALONE = """
    and not exists (
        from '{data}/interventions.parquet' i where i.account_id = coming.account_id
            and i.occurred_at >= day and i.occurred_at < day + interval 7 day
    )
"""


def test_the_answer_has_what_schedulers_read(taught) -> None:
    trained = taught.trained
    assert trained["model_version"] == "1"
    assert set(METRICS) <= set(trained["metrics"])
    metrics = trained["metrics"]
    assert 0.5 < metrics["auc_low"] <= metrics["auc"] <= metrics["auc_high"] <= 1
    assert metrics["log_loss"] < metrics["log_loss_base"]
    assert set(METRICS) <= set.intersection(*map(set, trained["segments"].values()))
    assert trained["weights"]
    for shares in trained["weights"].values():
        assert sum(shares.values()) == pytest.approx(100)
        assert "profile" not in shares
    assert sum(part["rows"] for part in trained["segments"].values()) == metrics["rows"]
    counts = trained["counts"]
    assert sum(band["rows"] for band in trained["bands"]) == counts["due_holdout_rows"]
    assert sum(band["positives"] for band in trained["bands"]) == counts["due_holdout_positives"]
    assert 0 < counts["due_holdout_rows"] < counts["holdout_rows"] == metrics["rows"]


def test_rows_and_churns_are_those_the_tables_tell_of(taught) -> None:
    counts = taught.trained["counts"]
    everybody = duckdb.sql(LABELS.format(data=taught.data)).fetchall()[0]
    assert (counts["rows"], counts["accounts"], counts["positives"]) == everybody
    assert everybody[-1] >= 30
    # Rows that were acted on teach, and judge nothing.
    judging = LABELS + LEFT_ALONE + f"and day >= date '{counts['holdout_from']}'"
    rows, _, churns = duckdb.sql(judging.format(data=taught.data)).fetchall()[0]
    assert (counts["holdout_rows"], counts["holdout_positives"]) == (rows, churns)


def test_the_first_training_freezes_the_scale_and_keeps_the_rest(taught, tmp_path, run) -> None:
    draft = tmp_path / "healthscore.toml"
    run("init", taught.data, "-c", draft, "--json").answer  # noqa: B018
    kept = draft.read_text(encoding="utf-8").splitlines()
    url = next(line for line in kept if line.startswith("url"))
    text = taught.config.read_text(encoding="utf-8")
    assert set(kept) - set(text.splitlines()) <= {url, *(k for k in kept if k.startswith("# Draf"))}
    score = tomllib.loads(text)["score"]
    counts = taught.trained["counts"]
    rate = counts["due_positives"] / counts["due_rows"]
    assert score["anchor_probability"] == float(f"{rate:.3g}")
    assert score == taught.trained["scale"] | {"reading": "decision"}


def test_what_is_logged_beside_the_model(taught) -> None:
    described = taught.logged("data.json")
    data = json.loads(described.read_text(encoding="utf-8"))
    assert data["rows"] == duckdb.sql(LABELS.format(data=taught.data)).fetchall()[0][0]
    assert (data["data_start"], data["data_end"]) == ("2024-01-01", "2025-07-01")
    logged = {path.name for path in described.parent.iterdir()}
    assert {"healthscore.toml", "signals.json", "reliability.png", "lift.png"} <= logged


@pytest.mark.slow
def test_a_second_training_is_version_2_on_the_same_scale(project, run) -> None:
    before = project.config.read_text(encoding="utf-8")
    frozen = before.replace("anchor_probability = ", "anchor_probability = 0.0301 # was ")
    project.config.write_text(frozen, encoding="utf-8")
    ran = run("train", "-c", project.config)
    assert ran.code == 0, ran.err
    assert "Champion: version 2" in ran.out
    assert "starter" in ran.out
    assert "\x1b" not in ran.out
    assert "[/bold] [31mstarter" in ran.out
    assert project.config.read_text(encoding="utf-8") == frozen
    answer = run("score", "-c", project.config, "--json").answer
    assert answer["model_version"] == "2"
    # The whole of the risk that the score tells where a decision is due, and a part elsewhere.
    apart = (
        "least(100, greatest(0, 50 + 10 * log2(0.0301 / 0.9699 * (1 - probability) / probability)))"
        " - score"
    )
    # As far as the nine decimals of a probability tell.
    near = "8e-9 / (probability * (1 - probability))"
    due, later = f"count(*) filter (abs({apart}) < {near})", f"count(*) filter ({apart} > {near})"
    ((whole, part, rows),) = project.sql(f"select {due}, {later}, count(*) from scores")
    assert min(whole, part) > 0
    assert whole + part == rows


@pytest.fixture(scope="module")
def rows(taught) -> LabelledRows:
    return labelled_rows(load_project(taught.config))


def test_the_fingerprint_is_blind_to_rounding_and_to_nothing_else(rows) -> None:
    def fingerprint(numbers: list[float], texts: list[str]) -> str:
        frame = pd.DataFrame({"number": numbers, "text": texts})
        return str(replace(rows, table=code_frame(frame)).description()["fingerprint"])

    base = fingerprint([0.0, 0.3, 1e6 / 3], ["a", "b", "c"])
    assert fingerprint([-1e-17, 0.1 + 0.2, 1e6 / 3 * (1 + 2e-16)], ["a", "b", "c"]) == base
    assert fingerprint([0.0, 0.30001, 1e6 / 3], ["a", "b", "c"]) != base
    assert fingerprint([0.0, 0.3, float("nan")], ["a", "b", "c"]) != base
    assert fingerprint([0.0, 0.3, 1e6 / 3], ["a", "b", "d"]) != base


def test_the_table_it_was_taught_with_can_be_built_again(taught, rows) -> None:
    assert {signal.name for signal in rows.signals} <= set(rows.frame.columns)
    logged = json.loads(taught.logged("data.json").read_text(encoding="utf-8"))
    assert rows.description()["fingerprint"] == logged["fingerprint"]


@pytest.mark.parametrize(
    ("company", "sentence"),
    [
        (
            {"days": 90},
            "No observation date has matured: the data run from 2024-01-01 to 2024-03-31, and a"
            " date needs ",
        ),
    ],
    ids=["too short"],
)
def test_too_little_history_is_refused(small, run, company, sentence) -> None:
    config = small(**company, config=DATED)
    ran = run("train", "-c", config)
    assert ran.code == 4
    assert sentence in ran.sentence
    assert not (config.parent / "mlruns").exists()
    assert config.read_text(encoding="utf-8") == DATED


DATED = """\
[source]
url = "data"
[tables.accounts]
attributes = ["plan"]
[tables.subscriptions]
[tables.usage_events]
[outcome]
horizon_days = 30
"""


def test_everybody_leaving_is_refused(small, run) -> None:
    gone = "".join(f"C{n},2023-06-01,2024-05-10\n" for n in range(60))
    config = small(
        config=DATED + "dates = [2024-05-01]\n",
        subscriptions=f"account_id,started_at,ended_at\n{gone}",
    )
    ran = run("train", "-c", config)
    assert ran.code == 4
    assert "needs a row without the outcome in the matured rows, but 60 of 60" in ran.sentence


def test_nobody_active_on_any_date_is_refused(small, run) -> None:
    rows = "".join(f"C{n},2024-10-01,\n" for n in range(60))
    config = small(config=DATED, subscriptions=f"account_id,started_at,ended_at\n{rows}")
    ran = run("train", "-c", config)
    assert ran.code == 4
    assert "No account was active on any of the" in ran.sentence


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("plann", "did you mean 'plan'?"),
        ("zzzzzz", "signals that could be are 'lifecycle_stage', 'plan'"),
        # What the rows are told apart by, and what is to be predicted, are no kinds of account.
        ("happened", "which is no signal of this company"),
        ("account_id", "which is no signal of this company"),
    ],
)
def test_segments_are_named_by_signals_only(small, run, column: str, hint: str) -> None:
    config = small(churned=40, config=f'{DATED}[segments]\ncolumns = ["{column}"]\n')
    ran = run("train", "-c", config)
    assert ran.code == 2
    assert f"[segments] columns names '{column}'" in ran.sentence
    assert hint in ran.sentence


@pytest.mark.slow
def test_a_registry_that_cannot_be_made_is_named(small, run) -> None:
    text = f'{DATED}[registry]\nfolder = "occupied/mlruns"\n'
    config = small(count=120, churned=110, config=text)
    (config.parent / "occupied").write_text("a file", encoding="utf-8")
    ran = run("train", "-c", config)
    assert ran.code == 5
    assert "could not be used" in ran.sentence
    assert config.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_a_model_that_proves_nothing_freezes_no_scale(small, run) -> None:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(300, size=3000), "D")
    usage = pd.DataFrame({"account_id": rng.integers(200, size=3000), "occurred_at": days})
    usage["account_id"] = "C" + usage["account_id"].astype(str)
    config = small(count=200, churned=190, config=DATED, usage_events=usage.to_csv(index=False))
    ran = run("train", "-c", config)
    assert ran.code == 0, ran.err
    assert "There is not enough evidence" in ran.out
    assert config.read_text(encoding="utf-8") == DATED
    warnings = run("score", "-c", config, "--json").answer["warnings"]
    assert any("not enough evidence" in line for line in warnings)
    # Churn is read from subscriptions here: a label is only known once the days of grace are over.
    model = Registry(config.parent / "mlruns", "healthscore").champion().model
    assert model.maturity_days == 30 + 7
