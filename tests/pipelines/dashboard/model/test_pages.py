from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from features.outcomes.settings import WORDS as ALL_WORDS
from models.registry.chain_record import Record
from models.registry.champions import History, Version
from models.registry.models import Champion
from models.registry.recommendations import RecommendationRecord
from pipelines.dashboard.access.notes import WITHHELD
from pipelines.dashboard.model import jobs
from pipelines.dashboard.model import pages as model_pages
from pipelines.dashboard.model.health import ModelHealth, Moved, calibration
from pipelines.dashboard.model.sections import figures, health_sections
from pipelines.reports.wording import percent
from tests.pipelines.dashboard.opened_panel import ADMIN, EVERYBODY, opened_panel
from tests.pipelines.reports.page import Page

pytestmark = pytest.mark.xdist_group("panel")
HOSTILE = "<script>alert(1)</script>"
DAY = date(2025, 7, 1)
WORDS = ALL_WORDS["churn"]


@pytest.fixture(scope="module")
def config(scored, tmp_path_factory):
    """A copy of the registry with three checks of the champion, the last two alike."""
    folder = tmp_path_factory.mktemp("checked") / "project"
    shutil.copytree(scored.folder, folder, ignore=shutil.ignore_patterns("data"))
    from models.registry.checks import record_check
    from models.registry.models import Registry

    place = folder / "mlruns", "healthscore"
    facts = Registry(*place).champion()
    model, version = facts.model, facts.version
    signal = model.signals[0].name
    moved = {"weight": 0.2, "psi": 0.5, "psi_expected": 0.05}
    statistics = {
        "signals": [
            {"name": signal, "segment": "all", **moved},
            {"name": signal, "segment": HOSTILE, **moved, "weight": 0.4},
        ],
        "score": [{"name": "score", "segment": "all", **moved, "weight": 1.0}],
        "mix": None,
    }
    pairs = ((signal, "all"), (signal, HOSTILE), ("score", "all"), ("gone since", "all"))
    checks = [("ok", ()), ("watch", pairs[:1]), ("watch", pairs)]
    for place_, (status, drifted) in enumerate(checks, start=1):
        record_check(
            *place,
            facts.run_id,
            place_,
            as_of=DAY - timedelta(days=30 * (3 - place_)),
            model_version=version,
            status=status,
            reasons=(f"Something moved: {HOSTILE}",) if drifted else (),
            drifted=drifted,
            found={"statistics": statistics},
        )
    return folder / scored.config.name


@pytest.fixture(scope="module")
def panel(config):
    with opened_panel(config) as opened:
        yield opened


@pytest.fixture(scope="module")
def told(panel) -> dict:
    answer = panel.ready("/api/v1/model").json()
    assert (answer["state"], answer["sentence"]) == ("ready", None)
    return answer["model"]


@pytest.fixture(scope="module")
def page(panel, told) -> Page:
    return Page(panel.get("/model").text)


def test_measures_are_those_of_the_training(scored, told, page) -> None:
    trained = scored.trained["metrics"]
    for name in ("auc", "auc_low", "log_loss", "ece", "expected_rate", "observed_rate", "rows"):
        assert told["metrics"][name] == pytest.approx(trained[name])
    assert told["model_version"] == scored.trained["model_version"] == "1"
    assert told["taught_until"] == scored.trained["counts"]["last_date"][:10]
    row = page.table("rows held out").by_name["Pairs ranked right (AUC)"]
    assert row["Found"] == percent(trained["auc"])
    assert percent(trained["expected_rate"]) in page.text


def test_calibration_is_counted_on_the_rows_held_out(panel, told) -> None:
    health = panel.app.state.model_jobs.health(panel.project).result().value
    table = calibration(health)
    assert table["rows"].sum() == told["metrics"]["rows"] == len(health.holdout)
    assert table["positives"].sum() == told["metrics"]["positives"]
    few = health.holdout[health.holdout["happened"] == 0].head(50)
    assert calibration(replace(health, holdout=few)) is None
    assert calibration(replace(health, holdout=None)) is None


def test_checks_are_told_with_what_moved_by_weight(told, page) -> None:
    assert [check["status"] for check in told["checks"]] == ["watch", "watch", "ok"]
    assert told["same_since"] == (DAY - timedelta(days=30)).isoformat()
    assert told["moved"][0]["signal"] == "score"
    assert [one["weight"] for one in told["moved"]] == [1.0, 0.4, 0.2]
    assert "Watch, since the check of 1 June 2025." in page.text
    moved = page.table("What had moved at the last check")
    assert moved.rows[0][0] == "The health score itself"
    assert moved.rows[1][1] == HOSTILE
    assert "alert(1)" not in "".join(page.values("src", "href", "onload"))
    assert page.tags["script"] == 1


def test_figures_carry_no_styles_and_are_told_in_words(page) -> None:
    assert page.tags["desc"] == 2
    assert "style" not in {name for _, name, _ in page.attributes}
    assert page.ids == list(dict.fromkeys(page.ids))
    for labelled in page.values("aria-labelledby"):
        assert set(labelled.split()) <= set(page.ids)


def test_the_way_back_is_told_and_nothing_here_changes_a_model(page) -> None:
    for command in ("healthscore monitor --retrain", "healthscore rollback"):
        assert command in page.text
    assert "post" not in page.values("method")


def test_the_registry_is_read_once_for_a_burst(panel, told, monkeypatch) -> None:
    read = []
    monkeypatch.setattr(jobs, "model_health", lambda project: read.append(project))
    for _ in range(3):
        assert panel.get("/model").status_code == 200
    assert read == []


def test_a_registry_that_is_gone_is_a_sentence(panel, config, monkeypatch) -> None:
    away = config.parent / "away"
    (config.parent / "mlruns" / "mlflow.db").rename(away)
    try:
        fresh = jobs.ModelJobs(1)
        monkeypatch.setattr(panel.app.state, "model_jobs", fresh)
        for who, start in ((EVERYBODY, WITHHELD), (ADMIN, f"{WITHHELD}: No champion of 'health")):
            answer = panel.get("/api/v1/model", who)
            assert answer.status_code == 200
            assert answer.json()["state"] == "impossible"
            assert answer.json()["sentence"].startswith(start)
            assert ("No champion" in answer.json()["sentence"]) == (who == ADMIN)
            shown = Page(panel.get("/model", who).text)
            assert f"The model cannot be shown now. {start}" in shown.text
        fresh.close()
    finally:
        away.rename(config.parent / "mlruns" / "mlflow.db")


def test_a_registry_that_does_not_answer_holds_nobody(panel, monkeypatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(jobs, "model_health", lambda project: go.wait(20))
    monkeypatch.setattr(model_pages, "SECONDS", 0.05)
    fresh = jobs.ModelJobs(1)
    monkeypatch.setattr(panel.app.state, "model_jobs", fresh)
    answer = panel.get("/api/v1/model")
    assert (answer.status_code, answer.json()["state"]) == (202, "working")
    assert "The registry takes long to answer" in Page(panel.get("/model").text).text
    go.set()
    fresh.close()


def test_what_was_never_done_is_said(panel) -> None:
    health = _bare(panel)
    shown = {section.key: section.sentence for section in health_sections(health, WORDS)}
    assert shown["checks"] == "This champion was not checked yet; 'healthscore monitor' does."
    assert shown["champions"] == "The history cannot be read now."
    assert shown["recommendations"].startswith("None yet; 'healthscore recommend'")
    assert shown["proof"].startswith("Not enough evidence that behaviour predicts churn")
    assert [figure for _, figure, _ in figures(health)][1:] == [
        "not known",
        "not known",
        "never checked",
    ]


def test_champions_and_recommendations_are_listed_newest_first(panel) -> None:
    made = datetime(2025, 1, 1, tzinfo=UTC)
    versions = tuple(
        Version(str(n), made, became, {"last_date": "2024-12-01", "rows": 9}, 0.1, 0.8)
        for n, became in ((1, "replaced"), (2, "rejected"), (3, "champion"))
    )
    records = tuple(
        Record(
            n, action, str(n), "1", None, (f"Because of {HOSTILE}",), HOSTILE, "host", 1, made, s
        )
        for n, (action, s) in enumerate(
            (("train", "done"), ("reject", "done"), ("promote", "abandoned")), start=1
        )
    )
    advised = RecommendationRecord(
        made_at=made.replace(tzinfo=None),
        outcome="main",
        outcome_settings={},
        model_version="1",
        config_fingerprint="",
        learnt_until=DAY,
        measures={},
        today={"all": {"usage": 40.0, "support": 60.0}, HOSTILE: {"usage": 100.0}},
        recommended={HOSTILE: {"usage": 100.0}, "all": {"usage": 50.0, "support": 50.0}},
        intervals={},
        cuts={},
    )
    health = replace(
        _bare(panel),
        history=History("healthscore", "3", "1", versions, records, ("A note.",)),
        recommendations=[advised],
    )
    sections = {section.key: section for section in health_sections(health, WORDS)}
    assert sections["champions"].sentence == "Version 3 serves; a rollback goes to version 1."
    table, decided, note = sections["champions"].parts
    assert [row[-1] for row in table.rows] == ["champion", "rejected", "replaced"]
    assert [row[1] for row in decided.rows] == [
        "Version 3 promoted, came to nothing, in place of version 1",
        "Version 2 not promoted",
        "Version 1 trained as champion, in place of version 1",
    ]
    assert HOSTILE not in "".join(map(str, decided.rows[0]))
    assert note.text == "A note."
    ((*_, changes),) = sections["recommendations"].parts[0].rows
    assert changes.striptags() == "All accounts: usage 40 → 50, support 60 → 50"


def _bare(panel) -> ModelHealth:
    """A champion of which nothing else is on record."""
    champion = Champion(
        replace(panel.snapshot.model, bands=[]), "7", "run", "2025-01-01T00:00:00+00:00", {}, {}
    )
    return ModelHealth(champion, 3, None, {}, None, None, [], list[Moved](), [], [])
