"""What was recommended before and what came of it, through a sequence of configurations."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import RegistryError
from models.registry.models import Registry
from models.registry.recommendations import (
    RecommendationRecord,
    log_recommendation,
    recommendation_records,
    recorded_scorecard,
)
from pipelines.project.project import load_project
from pipelines.weights import history as recommendation_history
from pipelines.weights.history import history, record_recommendation
from pipelines.weights.report.history_screen import show_history
from tests.models.ranked import auc_within
from tests.pipelines.recommended_by_hand import record
from tests.pipelines.screens import screen
from tests.pipelines.weighed_company import recommended_for, weighed_company

pytestmark = pytest.mark.xdist_group("recommend")

ON = date(2026, 3, 1)


@pytest.fixture(scope="module")
def recommended(taught):
    return recommended_for(taught.folder)


@pytest.fixture
def company(taught, tmp_path):
    """Return the weighed company's configuration with a registry nothing was recommended in."""
    project, _ = weighed_company(taught.folder)
    folder = tmp_path / "company"
    folder.mkdir()
    (folder / "data").symlink_to(project.folder / "data")
    (folder / "mlruns").mkdir()
    shutil.copy(taught.folder / "mlruns" / "mlflow.db", folder / "mlruns")
    return shutil.copy(project.path, folder)


def configured(config, weights: dict[str, dict[str, float]], **changed: str):
    """Write weights by place into the configuration, and read it again."""
    text = Path(config).read_text(encoding="utf-8")
    start = text.index("[scorecard]\n")
    end = text.index("\n#", start)

    def table(row):
        return "{ " + ", ".join(f'"{name}" = {weight}' for name, weight in row.items()) + " }"

    lines = ["[scorecard]", f"weights = {table(weights['all'])}", "red_below = 42"]
    if len(weights) > 1:
        lines.append("[scorecard.segments]")
        for place, row in weights.items():
            if place != "all":
                escaped = place.replace("\x1b", "\\u001B")
                lines.append(f'"{escaped}" = {table(row)}')
    text = text[:start] + "\n".join(lines) + "\n" + text[end:]
    for old, new in changed.items():
        before, after = new.split(" -> ")
        assert text.count(before) == 1, old
        text = text.replace(before, after)
    Path(config).write_text(text, encoding="utf-8")
    return load_project(Path(config))


def made_on(recommended, day, today=None, **changed):
    """Return the recommendation as if made on a day, when some weights were in use."""
    advice = {
        name: replace(
            found,
            advice=tuple(
                line if today is None else replace(line, today=today[name][line.measure])
                for line in found.advice
            ),
        )
        for name, found in recommended.advice.items()
    }
    moment = datetime(day.year, day.month, day.day, 8)
    return replace(recommended, advice=advice, made_at=moment, **changed)


def weights_of(recommended):
    today = {
        name: {line.measure: line.today for line in found.advice}
        for name, found in recommended.advice.items()
    }
    return today, {name: found.weights for name, found in recommended.advice.items()}


def mixed(one, other, share):
    return {
        place: {
            name: one[place][name] + share * (other[place][name] - one[place][name]) for name in row
        }
        for place, row in one.items()
    }


def test_a_sequence_of_configurations_is_told_as_it_was(company, recommended) -> None:
    project = load_project(Path(company))
    nothing = history(project, ON)
    assert nothing.past == nothing.warnings == []
    assert "Nothing was recommended yet" in screen(show_history, nothing)

    today, advised = weights_of(recommended)
    assert advised != today, "the company's weights were set wrong on purpose"
    first = made_on(recommended, date(2025, 9, 1))
    assert record_recommendation(project, first)
    assert not record_recommendation(project, made_on(recommended, date(2025, 9, 2)))
    (only,) = history(project, ON).past
    assert only.adoption.status == "not adopted"
    assert only.record.made_at == datetime(2025, 9, 1, 8)
    assert only.record.today == today
    assert only.record.recommended == advised
    assert only.since is None
    assert only.notes == []

    half = mixed(today, advised, 0.5)
    project = configured(company, half)
    assert record_recommendation(project, made_on(recommended, date(2025, 11, 1), half))
    project = configured(company, advised)
    newest, oldest = history(project, ON).past
    assert newest.record.made_at.date() == date(2025, 11, 1)
    assert newest.record.today == half
    assert newest.adoption.status == oldest.adoption.status == "adopted"
    assert newest.adoption.first_seen == oldest.adoption.first_seen == ON

    # Another model's recommendation is news though it says the same.
    assert record_recommendation(project, made_on(recommended, ON, advised, version="9"))
    assert not record_recommendation(project, made_on(recommended, ON, advised, version="9"))
    project = configured(company, today)
    found = history(project, ON + timedelta(days=30))
    assert [past.adoption.status for past in found.past] == [
        *("nothing to adopt", "adopted", "adopted")
    ]
    assert [past.adoption.first_seen for past in found.past[1:]] == [ON, ON]
    assert not found.past[1].adoption.still
    text = screen(show_history, found, width=100)
    assert "● adopted, first seen on 2026-03-01, not any more" in text
    assert "– nothing to adopt" in text
    assert "Since: no outcome of a later date is known yet." in text
    assert not [c for c in text if c != "\n" and not c.isprintable()]

    assert found.past[2].by_segment.keys() == advised.keys()


def test_half_the_way_is_told_with_its_share(company, recommended) -> None:
    today, advised = weights_of(recommended)
    project = configured(company, today)
    assert record_recommendation(project, made_on(recommended, date(2025, 9, 1)))
    found = history(configured(company, mixed(today, advised, 0.25)), ON)
    assert found.past[0].adoption.status == "partly adopted"
    assert found.past[0].adoption.share == pytest.approx(0.25, abs=0.001)
    assert "◐ partly adopted, 25 % of the change, first seen on 2026-03-01" in screen(
        show_history, found
    )


def test_what_happened_since_is_what_a_recomputation_finds(
    company, recommended, taught, monkeypatch
) -> None:
    project, known = load_project(Path(company)), weighed_company(taught.folder)[1]
    maturity = timedelta(days=known.model.maturity_days)
    dates = sorted(known.frame["observation_date"].unique())
    # As if the recommendation had been made when the last two dates lay ahead.
    start = dates[-2]
    learnt = {"last_date": (start - maturity).date().isoformat()}
    record_recommendation(project, made_on(recommended, date(2025, 2, 1), counts=learnt))
    found = history(project, ON)
    since = found.past[0].since
    rows = known.frame[known.frame["observation_date"] >= start]
    happened = rows["happened"].to_numpy() == 1
    assert (since.rows, since.outcomes) == (len(rows), happened.sum())
    assert (since.first, since.last) == (start.date(), dates[-1].date())
    segment = rows["segment"].to_numpy(dtype=object)
    scores = {}
    for name, weighting in zip(("today", "advised"), weights_of(recommended), strict=True):
        grading = recommended.scorecard.grading
        grades = grading.filled(grading.grades(rows, segment), segment)
        scores[name] = np.array(
            [
                sum(
                    weighting[place][m] * grade / 100
                    for m, grade in zip(grading.names, row, strict=True)
                )
                for place, row in zip(segment, grades, strict=True)
            ]
        )
    said = since.measured
    ranked = {
        name: auc_within(happened, -score, rows["observation_date"])
        for name, score in scores.items()
    }
    assert said["auc_today"] == pytest.approx(ranked["today"], abs=1e-6)
    assert said["auc"] == pytest.approx(ranked["advised"], abs=1e-6)
    assert said["auc_ahead"] == pytest.approx(said["auc"] - said["auc_today"])
    red = np.round(scores["today"], 9) < 42
    assert said["caught_today"] == pytest.approx(red[happened].mean())
    lowest = np.argsort(scores["advised"], kind="stable")[: red.sum()]
    assert said["caught"] == pytest.approx(happened[lowest].sum() / happened.sum(), abs=0.035)
    words = " ".join(screen(show_history, found, width=120).split())
    assert (
        f"{happened.sum()} of {len(rows):,} rows of {start.date()} to {dates[-1].date()}" in words
    )
    assert f"AUC {said['auc']:.3f} against {said['auc_today']:.3f}" in words

    monkeypatch.setattr(recommendation_history, "FEW", happened.sum() + 1)
    monkeypatch.setattr(
        recommendation_history, "_later_rows", lambda *_: rows.drop(columns="segment")
    )
    early = history(project, ON)
    assert early.past[0].since == replace(since, measured=None)
    assert "churned: too early to say." in " ".join(screen(show_history, early).split())
    monkeypatch.undo()

    # What can no longer be scored is said so.
    project = configured(
        company,
        weights_of(recommended)[0],
        groups_off="groups_off = [] -> groups_off = ['support']",
        outcome="horizon_days = 30 -> horizon_days = 31",
    )
    (past,) = history(project, ON).past
    assert past.since is None
    assert past.notes[0] == (
        "The outcome is defined otherwise now (horizon_days was 30): what happened since is told by"
        " today's definition"
    )
    assert past.notes[1] == "'support' is graded by other signals since"
    assert past.notes[2].startswith("The company no longer has '")
    assert past.notes[2].endswith("so that nothing can be scored")


def test_changed_measures_are_said(company, recommended) -> None:
    project = load_project(Path(company))
    record_recommendation(project, made_on(recommended, date(2025, 9, 1)))
    text = Path(company).read_text(encoding="utf-8")
    text = text.replace("surveys = 40", '"<script>" = 40').replace(
        "red_below = 42\n",
        'red_below = 42\n[scorecard.measures."<script>"]\nsignals = ["nps_last"]\n',
    )
    Path(company).write_text(text, encoding="utf-8")
    (past,) = history(load_project(Path(company)), ON).past
    assert past.notes == [
        "'<script>' was added to the scorecard since",
        "'surveys' was taken out of the scorecard since",
    ]


def test_records_and_scorecards_come_back_as_they_were(company, recommended, taught) -> None:
    project = load_project(Path(company))
    folder, name = project.registry_folder, project.settings.registry.model_name
    before = Registry(folder, name).champion().version
    assert record_recommendation(project, recommended)
    (found,), unreadable = recommendation_records(folder, name)
    assert unreadable == 0
    assert RecommendationRecord.from_dict(found.to_dict() | {"run_id": found.run_id}) == found
    assert found.config_fingerprint == project.fingerprint
    assert found.model_version == recommended.version
    assert found.cuts["today"].red_below == 42
    last = date.fromisoformat(recommended.counts["last_date"])
    assert found.learnt_until == last + timedelta(days=recommended.model.maturity_days)
    line = recommended.advice["all"].advice[0]
    assert found.intervals["all"][line.measure] == (line.low, line.high)
    grading, segments = recorded_scorecard(folder, name, found.run_id)
    frame = weighed_company(taught.folder)[1].frame
    assert segments.assign(frame).tolist() == frame["segment"].tolist()
    pd.testing.assert_frame_equal(
        pd.DataFrame(grading.grades(frame, frame["segment"])),
        pd.DataFrame(recommended.scorecard.grading.grades(frame, frame["segment"])),
        check_exact=True,
    )
    assert Registry(folder, name).champion().version == before == recommended.version


def test_what_cannot_be_read_is_counted(company, recommended) -> None:
    project = load_project(Path(company))
    folder, name = project.registry_folder, project.settings.registry.model_name
    grading, segments = recommended.scorecard.grading, recommended.model.segments
    weights = {"all": {"usage": 50.0, "support": 50.0}}
    runs = [
        log_recommendation(
            record(weights, weights, day, learnt_until=ON),
            grading,
            segments,
            folder=folder,
            name=name,
        )
        for day in (date(2025, 1, 1), date(2025, 1, 2), date(2025, 1, 3))
    ]
    first, *others = [
        next(file for file in _artifacts(project) if run in str(file)) for run in runs
    ]
    first.unlink()
    others[0].write_text("{}", encoding="utf-8")
    found = history(project, ON)
    assert [past.record.run_id for past in found.past] == [runs[2]]
    said = "2 recommendations in the registry can no longer be read"
    assert found.warnings == [said]
    assert f"! {said}" in screen(show_history, found)
    others[1].unlink()
    assert history(project, ON).past == []
    assert recorded_scorecard(folder, name, "0" * 32) is None


def _artifacts(project):
    with sqlite3.connect(project.registry_folder / "mlflow.db") as database:
        (place,) = database.execute(
            "select artifact_location from experiments where name = ?",
            (project.settings.registry.model_name,),
        ).fetchone()
    return list(Path(place.removeprefix("file://")).rglob("recommendation.json"))


def test_without_a_registry_there_is_no_history(company) -> None:
    project = load_project(Path(company))
    shutil.rmtree(project.registry_folder)
    with pytest.raises(RegistryError, match=r"No champion of 'healthscore' was found in the reg"):
        history(project, ON)
    assert not project.registry_folder.exists()
