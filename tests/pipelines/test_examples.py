"""The example configurations on the public data sets they were written for."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from pipelines.project.project import load_project
from pipelines.reports.terminal.console import plain_console
from pipelines.training.screen import show_trained
from pipelines.training.train import train

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"

pytestmark = [pytest.mark.thirdparty, pytest.mark.slow]


@pytest.fixture
def example(tmp_path: Path):
    """Copy an example, with a registry and a store of its own."""

    def copy(name: str) -> Path:
        if not (DATA / name).is_dir():
            pytest.skip(f"the public data set {name} is not in {DATA}")
        text = (ROOT / "examples" / f"{name}.toml").read_text(encoding="utf-8")
        text = re.sub(r'(?m)^url = ".*"', f'url = "{DATA / name}"', text)
        text = text.replace('"../mlruns', f'"{tmp_path / "mlruns"}')
        assert "../" not in re.sub(r"(?m)^#.*", "", text)
        path = tmp_path / "healthscore.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return copy


def test_the_social_network_is_learnt(example, run) -> None:
    config = example("socialnet7")
    before = config.read_text(encoding="utf-8")
    trained = run("train", "-c", config, "--json").answer
    metrics = trained["metrics"]
    assert metrics["log_loss"] <= 0.158 < metrics["log_loss_base"]
    assert 0.5 < metrics["auc_low"] < metrics["auc"] < metrics["auc_high"] < 1
    assert trained["enough_evidence"]
    assert trained["counts"]["holdout_from"] == trained["counts"]["last_date"] == "2020-08-16"
    active, churned = duckdb.sql(
        f"""
        with there as (
            select distinct account_id from '{DATA}/socialnet7/subscriptions.parquet'
            where start_date < date '2020-08-16'
        ), gone as (
            select account_id, max(churn_date) as day from '{DATA}/socialnet7/churn.parquet'
            group by all
        )
        select count(*), count(*) filter (day < date '2020-08-16' + interval 45 day)
        from there left join gone using (account_id)
        where day is null or day >= date '2020-08-16'
        """
    ).fetchall()[0]
    assert (metrics["rows"], metrics["positives"]) == (active, churned) == (1851, 82)
    assert trained["counts"]["training_rows"] == 7055
    assert config.read_text(encoding="utf-8") == before
    answer = run("score", "-c", config, "--as-of", "2020-08-16", "--json").answer
    assert answer["rows"] == active
    assert answer["warnings"] == []


def test_age_that_gives_the_labels_away_is_no_evidence(example, run) -> None:
    config = example("ravenstack")
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('groups_off = ["profile"]', ""), encoding="utf-8")
    metrics = run("train", "-c", config, "--json").answer["metrics"]
    # Tenure alone ranks these labels; no behaviour does.
    assert metrics["auc_low"] > 0.5
    assert metrics["auc_behaviour_low"] < 0.5 < metrics["auc_behaviour_high"]
    assert not metrics["enough_evidence"]


def test_a_company_whose_churn_is_chance_gets_no_verdict(example, run) -> None:
    config = example("ravenstack")
    trained, out = train(load_project(config)), io.StringIO()
    with contextlib.redirect_stdout(out):
        show_trained(plain_console(), trained)
    assert "There is not enough evidence" in out.getvalue()
    assert "Share of the score" not in out.getvalue()
    metrics = trained.to_dict()["metrics"]
    # Growth of revenue follows an account's age, and so do these labels.
    assert metrics["auc"] < 0.65
    assert metrics["auc_behaviour_low"] < 0.5 < metrics["auc_behaviour_high"]
    answer = run("score", "-c", config, "--json").answer
    assert any("not enough evidence" in warning for warning in answer["warnings"])
    shown = run("score", "-c", config)
    assert "not enough evidence" in shown.out
    shutil.rmtree(config.parent / "mlruns")


def test_a_snapshot_without_dates_is_learnt(example, run) -> None:
    config = example("telco")
    trained = run("train", "-c", config, "--json").answer
    assert trained["metrics"]["auc"] > 0.90
    assert trained["counts"]["holdout_rows"] == 7043
    assert trained["counts"]["rows"] == 7043
    weights = trained["weights"]["all"]
    # Gender, age and marriage are sensitive; the rest of the profile has no weight.
    assert set(weights) == {"usage", "adoption", "support", "payments", "referrals"}
    answer = run("score", "-c", config, "--json").answer
    assert answer["rows"] == 7043
