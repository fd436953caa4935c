"""Retraining end to end: a company whose churn changes, a champion taught before, a challenger."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from features.errors import DataError, RegistryError
from models.measures.metrics import row_log_loss
from models.registry import folder
from models.registry.champions import history, rollback_target
from models.registry.models import Registry
from models.registry.versions import load_holdout
from models.scoring.scorer import Scorer
from pipelines.monitor.retrain import retrain
from pipelines.project.feature_table import write_features
from pipelines.project.project import Project, load_project
from pipelines.project.rows import labelled_rows
from pipelines.scoring.score import score_accounts
from tests.pipelines.changing import CHANGE, let_time_pass, write_company

NAME = "healthscore"


@pytest.fixture(scope="module")
def taught_before(run, tmp_path_factory) -> Path:
    """The company with a champion that was taught before the change; nobody retrains here."""
    folder = tmp_path_factory.mktemp("before")
    write_company(folder)
    config = folder / "healthscore.toml"
    run("train", "-c", config, "--json").answer  # noqa: B018
    assert "anchor_probability" in config.read_text(encoding="utf-8")
    let_time_pass(config)
    return folder


@dataclass(frozen=True)
class Place:
    """A copy of the company to retrain in."""

    project: Project

    @property
    def registry(self) -> tuple[Path, str]:
        return self.project.registry_folder, NAME

    def edited(self, old: str, new: str) -> Project:
        text = self.project.path.read_text(encoding="utf-8")
        assert old in text
        self.project.path.write_text(text.replace(old, new), encoding="utf-8")
        return load_project(self.project.path)


@pytest.fixture
def place(taught_before: Path, tmp_path: Path) -> Place:
    shutil.copytree(taught_before, tmp_path / "copy")
    return Place(load_project(tmp_path / "copy" / "healthscore.toml"))


def test_a_change_that_was_learnt_is_promoted_and_undone(place: Place, run) -> None:
    project = place.project
    old_text = project.path.read_text(encoding="utf-8")
    told = retrain(project)
    assert told.promoted, told.reasons
    assert (told.before, told.champion, told.challenger) == ("1", "2", "2")
    assert Registry(*place.registry).champion().version == "2"
    model = Registry(*place.registry).version("1").model
    facts = Registry(*place.registry).version("2")
    challenger = facts.model
    assert facts.params["judged_against"] == "1"
    # The scale stays where the first champion put it.
    assert challenger.scale == model.scale
    assert project.path.read_text(encoding="utf-8") == old_text

    # Neither had seen what it was judged on, and its log losses can be worked out by hand.
    frame = labelled_rows(project).frame
    dates = sorted(frame["observation_date"].dt.date.unique())
    assert (told.judged_from, told.judged_until) == (dates[-3], dates[-1])
    taught_until = max(day for day in dates if day + timedelta(days=37) <= CHANGE)
    assert taught_until + timedelta(days=model.maturity_days) <= told.judged_from
    held_out = load_holdout(*place.registry, "2")
    rows = frame[frame["observation_date"].dt.date >= told.judged_from].reset_index(drop=True)
    assert held_out["account_id"].tolist() == rows["account_id"].tolist()
    outcome = rows["happened"].to_numpy(dtype=float)
    champion = row_log_loss(
        outcome, Scorer(model).score(rows).table["probability"].to_numpy()
    ).mean()
    ours = row_log_loss(outcome, held_out["probability"].to_numpy()).mean()
    judged = told.verdict.judged[0]
    assert (judged.champion_log_loss, judged.challenger_log_loss) == pytest.approx((champion, ours))
    assert judged.difference == pytest.approx(ours / champion - 1)
    assert judged.outcomes == outcome.sum()

    # Who is in another band because of the model alone.
    written = write_features(project, None, project.folder / "now.parquet", labelled=False)
    now = pd.read_parquet(written.file)
    bands = [Scorer(each).score(now).table["band"] for each in (model, challenger)]
    assert told.bands.accounts == len(now)
    assert told.bands.moved == (bands[0] != bands[1]).sum() > 0
    for move in told.bands.moves:
        both = (bands[0] == move.before) & (bands[1] == move.after)
        assert move.accounts == both.sum()
    assert told.reasons[-1] == (
        f"On {told.bands.as_of}, {told.bands.moved:,} of {len(now):,} accounts are in another"
        " band because of the model alone."
    )
    json.dumps(told.to_dict(), allow_nan=False)

    # At once again there is nothing that the new champion has not seen.
    again = retrain(project)
    assert (again.champion, again.challenger, again.promoted) == ("2", None, False)
    assert again.reasons == [
        f"There is nothing new to judge on: the champion, version 2, was taught with dates up to"
        f" {dates[-1]}, whose outcomes were known {model.maturity_days} days later, and no"
        " observation date from then on has matured. It stays; retrain when newer outcomes have"
        " matured."
    ]
    assert [version.version for version in history(*place.registry).versions] == ["1", "2"]

    ran = run("rollback", "-c", project.path, "--reason", "too <b>bold</b>\x1b[31m")
    assert ran.code == 0, ran.err
    assert "Version 1 is the champion again, in place of version 2" in ran.out
    assert Registry(*place.registry).champion().version == "1"
    shown = run("history", "-c", project.path)
    assert shown.code == 0
    words = " ".join(shown.out.split())
    assert "Champion of healthscore: version 1" in words
    assert "1 trained as champion, by" in words
    assert "version 2 promoted, in place of version 1, by" in words
    assert "version 1 put back, in place of version 2, by" in words
    assert "too <b>bold</b> [31m" in words
    assert "\x1b" not in shown.out
    found = run("history", "-c", project.path, "--json").answer
    assert (found["serving"], found["previous"]) == ("1", None)
    assert [record["action"] for record in found["records"]] == ["train", "promote", "rollback"]
    assert run("rollback", "-c", project.path).code == 5
    assert run("rollback", "-c", project.path, "--to", "2", "--json").answer["model_version"] == "2"


def test_too_few_outcomes_keep_a_challenger(place: Place) -> None:
    project = place.edited("min_outcomes = 20", "min_outcomes = 2000\njudged_dates = 2")
    told = retrain(project)
    assert (told.promoted, told.champion, told.challenger) == (False, "1", "2")
    assert told.bands is None
    assert told.reasons == [told.verdict.reasons[0]]
    assert "judging needs 2,000 at least: wait until more" in told.reasons[0]
    assert (told.judged_until - told.judged_from).days == 31
    assert Registry(*place.registry).champion().version == "1"
    found = history(*place.registry)
    assert [version.became for version in found.versions] == ["champion", "rejected"]
    assert found.records[-1].reasons == tuple(told.reasons)
    with pytest.raises(RegistryError, match="is the first champion: there is none before it"):
        rollback_target(*place.registry)


def test_a_scoring_run_asks_once_who_is_champion(place: Place, monkeypatch) -> None:
    """The champion changes under a run that has begun; the run stays with the one it found."""
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place.registry[0] / 'mlflow.db'}")
        found = MlflowClient().get_model_version(NAME, "1")
        MlflowClient().create_model_version(NAME, found.source, run_id=found.run_id)
    real, asked = folder.kept_version, []

    def moves_on(place: Path, name: str, version: str | None = None):
        answer = real(place, name, version)
        if version is None:
            asked.append(name)
            MlflowClient(f"sqlite:///{place / 'mlflow.db'}").set_registered_model_alias(
                name, "champion", "2"
            )
        return answer

    monkeypatch.setattr("models.registry.models.kept_version", moves_on)
    issued = score_accounts(place.project, None)
    assert asked == [NAME]
    assert issued.model_version == "1"
    monkeypatch.undo()
    assert Registry(*place.registry).champion().version == "2"
    assert score_accounts(place.project, None).model_version == "2"


def test_signals_that_are_gone_are_named(place: Place) -> None:
    project = place.edited("[tables.usage_events]\n", "")
    with pytest.raises(DataError, match="needs the signals 'usage_7d', 'usage_28d'"):
        retrain(project)


def test_without_a_champion(place: Place, tmp_path, small) -> None:
    project = load_project(small())
    with pytest.raises(RegistryError, match="No champion of 'healthscore' was found"):
        retrain(project)
    absent = replace(place.project, path=tmp_path / "elsewhere" / "healthscore.toml")
    with pytest.raises(RegistryError, match="train a model first"):
        retrain(absent)
