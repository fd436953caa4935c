"""``healthscore backtest``: what it measures, keeps, prints and leaves alone."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import brier_score_loss, log_loss

from models.backtest.comparison import Comparison
from models.backtest.single_signal import Suspect
from models.registry.files import log_backtest
from models.registry.models import Registry
from pipelines.commands.answer import answering
from pipelines.project.project import load_project
from pipelines.reports.terminal.console import plain_console
from pipelines.training.backtest import Backtested, backtest
from pipelines.training.backtest_screen import show_backtest
from tests.models.ranked import auc_within

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("backtest")]
ORIGINS = 2
OURS = "p_healthscore"


@dataclass(frozen=True)
class Judged:
    """A backtest, what its command prints as JSON, and the predictions it wrote."""

    config: Path
    data: Path
    tested: Backtested
    answer: dict[str, Any]
    rows: pd.DataFrame

    def measured(self, **where: str) -> dict[str, Any]:
        """The one line of measures of a contender, an origin, a segment and a population."""
        wanted = {"contender": "healthscore", "origin": "all", "segment": "all"}
        wanted |= {"population": "all"} | where
        (found,) = (
            row
            for row in self.answer["measures"]
            if all(row[key] == value for key, value in wanted.items())
        )
        return found


@pytest.fixture(scope="module")
def judged(taught, tmp_path_factory) -> Judged:
    folder = tmp_path_factory.mktemp("judged") / "project"
    shutil.copytree(taught.folder, folder)
    config, out = folder / taught.config.name, folder / "predictions.parquet"
    text = config.read_text(encoding="utf-8").replace("sensitive = []", 'sensitive = ["industry"]')
    config.write_text(text, encoding="utf-8")
    _rename_an_industry(folder / "data" / "accounts.parquet")
    tested = backtest(load_project(config), origins=ORIGINS, out=out)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), answering(as_json=True) as answer:
        answer.give(tested.to_dict())
    return Judged(
        config, folder / "data", tested, json.loads(printed.getvalue()), pd.read_parquet(out)
    )


def _rename_an_industry(accounts: Path) -> None:
    table = pd.read_parquet(accounts)
    table["industry"] = table["industry"].replace("retail", "[/red]<b>Retail</b>")
    table.to_parquet(accounts, index=False)


def shown(tested: Backtested) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        show_backtest(plain_console(), tested)
    return out.getvalue()


def test_the_tested_rows_are_later_and_told_of(judged) -> None:
    rows, counts = judged.rows, judged.answer["counts"]
    assert len(rows) == counts["tested_rows"]
    assert rows["happened"].sum() == counts["tested_positives"] > 0
    assert rows["account_id"].nunique() == counts["tested_accounts"]
    assert rows["origin"].nunique() == ORIGINS
    assert not rows.duplicated(["account_id", "observation_date"]).any()
    assert (rows["observation_date"] >= rows["origin"]).all()
    assert judged.answer["file"] == str(judged.config.parent / "predictions.parquet")


def test_measures_are_those_of_the_written_predictions(judged) -> None:
    origins = {str(day.date()): part for day, part in judged.rows.groupby("origin")}
    parts: list[tuple[dict[str, str], pd.DataFrame]] = [({}, judged.rows)]
    parts += [({"origin": origin}, part) for origin, part in origins.items()]
    parts += [({"segment": name}, part) for name, part in judged.rows.groupby("segment")]
    parts += [({"population": "untreated"}, judged.rows[~judged.rows["treated"]])]
    names = [name[2:] for name in judged.rows if name.startswith("p_")]
    assert len(names) == 5
    for where, part in parts:
        for name in names:
            found = judged.measured(contender=name, **where)
            happened, risk = part["happened"], part[f"p_{name}"]
            assert (found["rows"], found["positives"]) == (len(part), happened.sum())
            assert found["log_loss"] == pytest.approx(log_loss(happened, risk, labels=[0, 1]))
            assert found["brier"] == pytest.approx(brier_score_loss(happened, risk))
            if 0 < happened.sum() < len(part):
                assert found["auc"] == pytest.approx(
                    auc_within(happened, risk, part["observation_date"])
                )
            else:
                assert found["auc"] is None


TREATED = """
select account_id, observation_date, exists (
    from '{data}/interventions.parquet' i
    where i.account_id = rows.account_id and i.occurred_at >= rows.observation_date
      and i.occurred_at < rows.observation_date + interval 44 day
) as treated
from rows order by all
"""


def test_treated_rows_are_those_the_table_tells_of(judged) -> None:
    rows = judged.rows[["account_id", "observation_date", "treated"]]
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        expected = connection.execute(TREATED.format(data=judged.data)).fetchall()
    assert sorted(rows.itertuples(index=False, name=None)) == sorted(expected)
    assert 0 < rows["treated"].sum() < len(rows)
    assert judged.answer["counts"]["treated_rows"] == rows["treated"].sum()


def test_the_audit_reads_what_the_model_may_not(judged) -> None:
    levels = {row["level"] for row in judged.answer["audit"]}
    assert {row["attribute"] for row in judged.answer["audit"]} == {"industry"}
    assert "[/red]<b>Retail</b>" in levels
    project = load_project(judged.config)
    assert project.settings.signals.sensitive == ("industry",)
    assert "industry" not in judged.tested.result.predictions


def test_warning_times_are_those_of_churned_accounts(judged) -> None:
    lead = judged.tested.result.lead
    assert lead["days_before"].tolist() == [30, 60, 90, 180]
    assert 0 < lead["accounts"].max() <= judged.rows["account_id"].nunique()


@pytest.fixture
def logged(judged):
    """Return the first run, as MLflow tells of it."""
    folder = judged.config.parent / "mlruns"
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    try:
        yield MlflowClient(), MlflowClient().get_run(judged.answer["run_id"])
    finally:
        mlflow.set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def test_the_run_holds_measures_plots_and_predictions(judged, logged, tmp_path) -> None:
    client, run = logged
    assert run.data.tags["healthscore.kind"] == "backtest"
    assert run.data.params["origins"] == str(ORIGINS)
    assert run.data.metrics["healthscore/all/auc"] == judged.measured()["auc"]
    peer = judged.measured(contender="pooled LightGBM", population="untreated")
    assert run.data.metrics["untreated/pooled LightGBM/all/log_loss"] == peer["log_loss"]
    history = client.get_metric_history(run.info.run_id, "by_origin/healthscore/all/brier")
    assert [step.step for step in history] == [0, 1]
    origins = [pd.Timestamp(step.timestamp, unit="ms").date().isoformat() for step in history]
    assert [step.value for step in history] == [
        judged.measured(origin=origin)["brier"] for origin in origins
    ]
    held = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert held == {
        *("backtest.json", "predictions.parquet", "healthscore.toml", "data.json"),
        *("reliability.png", "log_loss.png", "gain.png", "lead.png"),
    }
    client.download_artifacts(run.info.run_id, "predictions.parquet", str(tmp_path))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "predictions.parquet"), judged.rows)


def test_names_that_look_like_paths_are_logged(judged, tmp_path) -> None:
    result, names = judged.tested.result, ["..", "/", "a//b", "", ".", "x" * 300, "'; drop"]
    named = result.measures.head(len(names)).assign(segment=names)
    run_id = log_backtest(
        dataclasses.replace(result, measures=named),
        **{"folder": tmp_path / "fresh", "name": "healthscore"},
        **{"params": {}, "files": {}, "figures": {}},
    )
    assert run_id
    assert not Registry(tmp_path / "fresh", "healthscore").has_champion()


def test_the_champion_lends_its_parameters_and_stays(judged, taught) -> None:
    assert judged.answer["champion"] == "1"
    folder = judged.config.parent / "mlruns"
    described = Registry(folder, "healthscore").champion()
    version = described.version
    before = Registry(taught.folder / "mlruns", "healthscore").champion()
    assert (version, described.run_id) == ("1", before.run_id)


def test_eighty_columns_are_enough(judged) -> None:
    text = shown(judged.tested)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("! "))
    metrics = judged.measured()
    assert f"AUC {metrics['auc']:.2f}" in " ".join(text.split())
    assert f"{metrics['log_loss']:.4f}" in text
    # Words may be cut short, figures never.
    assert not [line for line in lines if "…" in line.partition("  ")[2] and line[0] != "!"]
    assert "[/bold]" in text
    assert "[/red]<b>Retail" in text


def changed(tested: Backtested, **fields: Any) -> Backtested:
    return dataclasses.replace(tested, result=dataclasses.replace(tested.result, **fields))


def test_the_verdict_names_who_is_better_level_and_worse(judged) -> None:
    versus = [
        Comparison(name, 0.0, -0.1, 0.1, verdict)
        for name, verdict in zip("abcd", ["better", "level", "worse", "better"], strict=True)
    ]
    words = " ".join(shown(changed(judged.tested, versus=versus)).split())
    assert "By log loss it is better than a and d; level with b; worse than c." in words


def test_a_ranking_that_may_be_chance_is_told_in_words(judged) -> None:
    measures = judged.tested.result.measures.copy()
    measures["auc_low"] = np.where(measures["contender"] == "healthscore", 0.49, 0.9)
    words = " ".join(shown(changed(judged.tested, measures=measures)).split())
    assert "There is not enough evidence that it ranks better than chance" in words
    assert "There is not enough evidence" not in shown(judged.tested)


def test_few_positives_are_marked(judged) -> None:
    measures = judged.tested.result.measures.copy()
    named = measures["segment"] != "all"
    measures.loc[named, "positives"] = 3
    text = shown(changed(judged.tested, measures=measures))
    assert "* fewer than 20 positives: mostly chance" in text
    assert text.count(" *  ") >= measures.loc[named, "segment"].nunique() - 1
    counts = judged.tested.result.counts | {"tested_positives": 7}
    assert "Fewer than 20 positives were tested" in shown(changed(judged.tested, counts=counts))


def test_suspects_and_uneven_levels_are_named(judged) -> None:
    suspect = Suspect("[red]status", 0.99, 0.98, 1.0, "Is [red]status late?")
    leaks = dataclasses.replace(judged.tested.result.leaks, suspects=[suspect])
    audit = judged.tested.result.audit.assign(flagged=False)
    text = shown(changed(judged.tested, leaks=leaks, audit=audit))
    assert "! Is [red]status late?" in text
    assert "No level differs from everybody else beyond chance" in text
    audit["flagged"] = [True, *[False] * (len(audit) - 1)]
    assert "1 level differs from everybody else" in shown(changed(judged.tested, audit=audit))
    many = pd.concat([audit] * 12, ignore_index=True)
    text = shown(changed(judged.tested, audit=many))
    assert "12 levels differ from everybody else" in text
    assert f"{len(many) - 20} more levels are in backtest.json" in text


DATED = """\
[source]
url = "data"
[tables.accounts]
attributes = ["plan"]
[tables.subscriptions]
[tables.usage_events]
"""


@pytest.mark.parametrize(
    ("company", "outcome", "sentence"),
    [
        ({"churned": 0}, "horizon_days = 30", "positives"),
        ({"churned": 55}, "horizon_days = 400", "No observation date has matured: the data run"),
        ({"churned": 55, "days": 200}, "horizon_days = 120", "matured observation date"),
    ],
    ids=["nobody left", "longer than the data", "longer than what can be tested"],
)
def test_too_little_history_is_refused(small, run, company, outcome, sentence) -> None:
    config = small(**company, config=f"{DATED}[outcome]\n{outcome}\n")
    ran = run("backtest", "-c", config)
    assert ran.code == 4
    assert sentence in ran.sentence
    assert not (config.parent / "mlruns").exists()


def test_a_table_of_another_kind_is_refused_before_any_work(small, run, tmp_path) -> None:
    ran = run("backtest", "-c", small(config=DATED), "--out", tmp_path / "rows.xlsx")
    assert (ran.code, ran.sentence) == (
        2,
        "The table of predictions is written as .parquet or .csv, and"
        f" '{tmp_path / 'rows.xlsx'}' ends in '.xlsx'; name another file with --out",
    )


@pytest.mark.parametrize("origins", ["0", "51", "'many'"])
def test_an_impossible_number_of_origins_is_refused(small, run, origins) -> None:
    ran = run("backtest", "-c", small(config=f"{DATED}[backtest]\norigins = {origins}\n"))
    assert ran.code == 2
    assert "[backtest] origins: input should be" in ran.sentence


def test_a_registry_that_cannot_be_read_ends_it_early(small, run) -> None:
    config = small(churned=0, config=DATED)
    folder = config.parent / "mlruns"
    assert not Registry(folder, "healthscore").has_champion()
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(b"no database at all, but long enough to be one" * 30)
    ran = run("backtest", "-c", config)
    assert ran.code == 5
    assert f"The registry '{folder}' was moved or copied, or is no registry" in ran.sentence


KILLED_WHILE_LOGGING = """
import os, signal, mlflow
mlflow.log_figure = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_backtest_leaves_the_champion(judged, spawned, tmp_path) -> None:
    """And until it was killed it foretold the same, in another process.

    Engines add in any order, which shows in the last digits.
    """
    out = tmp_path / "rows.parquet"
    ran = spawned(
        *("backtest", "-c", judged.config, "--origins", ORIGINS, "--out", out),
        before=KILLED_WHILE_LOGGING,
    )
    assert ran.code == -signal.SIGKILL, ran.err
    registered = Registry(judged.config.parent / "mlruns", "healthscore").champion()
    model, version = registered.model, registered.version
    assert version == "1"
    assert model.signals
    pd.testing.assert_frame_equal(pd.read_parquet(out), judged.rows, rtol=1e-6)
