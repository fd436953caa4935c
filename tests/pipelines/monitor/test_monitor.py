"""``healthscore monitor`` end to end: quiet, drift, a broken feed, retraining, and bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from models.drift.reference import fit_reference
from models.registry.champions import history
from models.registry.checks import MonitorRecord, monitor_records
from models.registry.models import Registry
from models.registry.session import tracking
from models.registry.versions import load_reference
from models.scoring.scorer import Scorer
from pipelines.monitor import monitor as monitoring
from pipelines.monitor.monitor import monitor
from pipelines.project.project import load_project
from pipelines.project.rows import labelled_rows
from tests.pipelines.changing import CHANGE, LAST, write_company
from tests.pipelines.conftest import _make_hostile, copy_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("monitor")]
NAME = "healthscore"


@dataclass(frozen=True)
class Place:
    """A copy of a company to check."""

    config: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def registry(self) -> tuple[Path, str]:
        return self.folder / "mlruns", NAME

    def records(self) -> list[MonitorRecord]:
        return monitor_records(*self.registry)

    def let_time_pass(self) -> None:
        """Go on to the last day on which every table tells of."""
        text = self.config.read_text(encoding="utf-8")
        assert text.count(f"{CHANGE}") == 1
        self.config.write_text(text.replace(f"{CHANGE}", f"{LAST}"), encoding="utf-8")


@pytest.fixture(scope="module")
def taught_before(run, once) -> Path:
    """A company whose churn changes in October 2024, with a champion of before."""

    def teach(folder: Path) -> str:
        write_company(folder / "company")
        config = folder / "company" / "healthscore.toml"
        run("train", "-c", config, "--json").answer  # noqa: B018
        return str(config)

    return Path(once("monitored", teach)[1])


@pytest.fixture
def place(taught_before, tmp_path) -> Place:
    shutil.copytree(taught_before.parent, tmp_path / "copy")
    return Place(tmp_path / "copy" / "healthscore.toml")


def told(ran, code):
    """Read the answer of a check that ended with some exit code."""
    assert ran.code == code, ran.err
    found = json.loads(ran.out)
    assert found["exit_code"] == code
    return found


def test_what_a_champion_keeps_is_what_it_was_fitted_to(place) -> None:
    project = load_project(place.config)
    kept = load_reference(project.registry_folder, NAME, "1")
    frame = labelled_rows(project).frame
    model = Registry(project.registry_folder, NAME).champion().model
    scored = Scorer(model).score(frame).table
    again = fit_reference(frame, model.signals, scored["segment"], score=scored["score"])
    assert kept.reference.signals.keys() == {signal.name for signal in model.signals}
    for name, counts in again.counts.items():
        assert kept.reference.counts[name].table.tolist() == counts.table.tolist(), name
    assert kept.reference.mix.to_dict() == again.mix.to_dict()
    assert kept.known_until == date(2024, 10, 1)
    assert kept.tables == {"accounts", "subscriptions", "usage_events"}
    assert all(0.5 < one.auc < 1 for one in kept.expected)


def test_quiet_then_churn_that_changes_then_a_new_champion(place, run) -> None:
    quiet = told(run("monitor", "-c", place.config, "--json"), 0)
    assert quiet["decision"]["reasons"] == ["Nothing moved further than chance and season move it."]
    assert quiet["as_of"] == "2024-10-01"
    assert quiet["matured"] == []
    assert {feed["table"] for feed in quiet["feeds"]} == {
        "accounts",
        "subscriptions",
        "usage_events",
    }

    place.let_time_pass()
    seen = told(run("monitor", "-c", place.config, "--json"), 11)
    assert seen["status"] == "retrain"
    # Inputs are as they were: outcomes alone tell.
    assert any("outcomes otherwise" in why for why in seen["decision"]["reasons"])
    whole = seen["matured"][0]
    assert whole["segment"] == "all"
    assert (seen["matured_dates"][0], seen["matured_dates"][-1]) == ("2024-09-01", "2025-07-01")

    # The same counted by hand, from the model and the labels.
    project = load_project(place.config)
    frame = labelled_rows(project).frame
    days = [date.fromisoformat(day) for day in seen["matured_dates"]]
    rows = frame[frame["observation_date"].dt.date.isin(days)]
    model = Registry(project.registry_folder, NAME).champion().model
    assert whole["rows"] == len(rows)
    assert whole["positives"] == rows["happened"].sum()
    said = Scorer(model).score(rows).table["probability"].mean()
    assert whole["expected_rate"] == pytest.approx(said, abs=1e-12)

    calls = place.folder / "alert.json"
    with place.config.open("a", encoding="utf-8") as file:
        script = f"import sys; open({str(calls)!r}, 'wb').write(sys.stdin.buffer.read())"
        file.write(f"[alert]\ncommand = {json.dumps(['python3', '-c', script])}\n")
    page = place.folder / "drift.html"
    ran = run("monitor", "-c", place.config, "--retrain", "--out", page, "--json")
    done = told(ran, 0)
    assert done["retrained"]["promoted"], done["retrained"]["reasons"]
    assert Registry(project.registry_folder, NAME).champion().version == "2"
    newest = place.records()[0]
    assert (newest.status, newest.challenger, newest.promoted) == ("retrain", "2", True)
    assert [record.number for record in place.records()] == [3, 2, 1]
    message = json.loads(calls.read_text(encoding="utf-8"))
    assert message["status"] == "retrain"
    assert message["retrained"]["champion"] == "2"
    assert message["check"] == newest.run_id
    html = page.read_text(encoding="utf-8")
    assert "Retrained: version 2 took the place of 1" in html
    assert "healthscore rollback" in html

    # Who comes next is checked against what it learnt from, and for people it is a screen.
    after = run("monitor", "-c", place.config)
    assert after.code in (0, 10), after.err
    assert "beside what version 2 learnt from" in after.out


def test_a_table_that_stops_is_called_by_its_name_and_never_retrained(place, run) -> None:
    place.let_time_pass()
    usage = place.folder / "data" / "usage_events.csv"
    lines = usage.read_text(encoding="utf-8").splitlines()
    usage.write_text(
        "\n".join([lines[0], *(line for line in lines[1:] if line[-10:] < "2025-08-01"), ""]),
        encoding="utf-8",
    )
    page = place.folder / "drift.pdf"
    ran = run("monitor", "-c", place.config, "--retrain", "--out", page, "--json")
    found = told(ran, 12)
    assert found["retrained"] is None
    (fault, *_) = found["decision"]["faults"]
    assert (fault["kind"], fault["table"]) == ("stopped-table", "usage_events")
    assert "Nothing is retrained until the feeds are repaired." in found["decision"]["reasons"]
    assert len(history(place.folder / "mlruns", NAME).versions) == 1
    assert page.read_bytes().startswith(b"%PDF-")
    ran = run("monitor", "-c", place.config)
    assert ran.code == 12
    assert "Repair the data first: a table has stopped (usage_events)" in ran.out


def test_drift_that_every_check_on_record_noticed_is_retrained_once_it_lasts(place) -> None:
    place.let_time_pass()
    usage = place.folder / "data" / "usage_events.csv"
    header, *lines = usage.read_text(encoding="utf-8").splitlines()
    twice = [line for line in lines if line[-10:] >= f"{CHANGE}"]
    usage.write_text("\n".join([header, *lines, *twice, ""]), encoding="utf-8")
    # Twice the use is too little at once, and outcomes are not to tell.
    with place.config.open("a", encoding="utf-8") as file:
        file.write("[monitor]\nretrain_excess = 8.0\nmin_matured_outcomes = 100000\n")
    project = load_project(place.config)
    began = date(2024, 11, 5)
    checks = [monitor(project, began + timedelta(days=after)) for after in (0, 28)]
    assert [check.exit_code for check in checks] == [10, 11]
    assert [check.since["usage_28d", "all"].seen_on for check in checks] == [began] * 2
    (moved,) = (d for d in checks[-1].noticed if (d.name, d.segment) == ("usage_28d", "all"))
    assert 4 < moved.excess < 8
    assert checks[-1].decision.reasons == (
        f"{moved.weight:.0%} of the weight of all accounts rests on signals that moved far or for"
        " 28 days or more: 'usage_28d'.",
    )


def test_drift_of_the_simulated_company_is_noticed(project, run, tmp_path) -> None:
    place = Place(project.config)
    options = ("--accounts", 400, "--months", 18, "--drift", "payment-crisis")
    dated = ("--drift-from", "2025-05-02")
    run("simulate", tmp_path / "plain", *options, *dated, "--json").answer  # noqa: B018
    shutil.rmtree(project.data)
    _make_hostile(tmp_path / "plain", project.data)
    ran = run("monitor", "-c", place.config, "--json")
    # What calls for retraining waits: the champion was taught on this day.
    assert ran.code == 10, ran.err
    found = json.loads(ran.out)
    signals = Registry(*place.registry).champion().model.signals
    groups = {signal.name: signal.group for signal in signals}
    moved = [(groups.get(one["name"]), one["segment"]) for one in found["since"]]
    assert "payments" in {group for group, _ in moved}
    assert {group for group, _ in moved} <= {"payments", None}
    assert all(
        (one["usual_on"], one["seen_on"]) == ("2025-05-01", "2025-07-01") for one in found["since"]
    )


def test_issued_scores_are_read_and_a_feature_table_stands_in(scored, run, tmp_path) -> None:
    copy_of(scored, tmp_path / "copy")
    place = Place(tmp_path / "copy" / "healthscore.toml")
    project = load_project(place.config)
    checked = monitor(project, None)
    assert checked.exit_code == 0, checked.decision
    issued = place.folder / "scores.duckdb"
    query = "select score from latest_scores where as_of = date '2025-07-01'"
    with duckdb.connect(str(issued), read_only=True) as store:
        scores = [score for (score,) in store.execute(query).fetchall()]
    counted = checked.findings.current.tables["score"][0]
    bins = checked.kept.reference.score.bins
    assert counted.tolist() == [int((bins.codes(scores) == place).sum()) for place in range(11)]

    file = tmp_path / "features.parquet"
    run("features", "-c", place.config, "--out", file, "--json").answer  # noqa: B018
    from_file = monitor(project, None, features=file)
    assert from_file.source == "features.parquet"
    for name, table in checked.findings.current.tables.items():
        assert table.tolist() == from_file.findings.current.tables[name].tolist(), name
    assert from_file.findings.feeds == []
    assert any("A feature table tells of no feeds" in text for text in from_file.warnings)

    # A column that is gone is a broken feed, also where segments are read from it.
    whole = pq.read_table(file)
    pq.write_table(whole.drop_columns(["usage_28d", "plan"]), file)
    gone = monitor(project, None, features=file)
    assert gone.exit_code == 12
    assert {name for fault in gone.decision.faults for name in fault.signals} == {
        "usage_28d",
        "plan",
    }
    assert any("'plan' is no longer there" in text for text in gone.warnings)
    pq.write_table(whole.slice(0, 0), file)
    ran = run("monitor", "-c", place.config, "--features", file)
    assert ran.code == 3
    assert "holds no row with an observation_date" in ran.sentence
    texts = whole.set_column(
        whole.schema.get_field_index("usage_28d"), "usage_28d", [["many"] * whole.num_rows]
    )
    pq.write_table(texts, file)
    ran = run("monitor", "-c", place.config, "--features", file)
    assert ran.code == 3
    assert "cannot be counted" in ran.sentence


def test_nobody_left_is_a_broken_feed(place, run) -> None:
    place.let_time_pass()
    (place.folder / "data" / "subscriptions.csv").write_text(
        "account_id,started_at,ended_at\nC0-0,2024-01-01,2024-03-01\n", encoding="utf-8"
    )
    found = told(run("monitor", "-c", place.config, "--json"), 12)
    assert any(fault["kind"] == "no-rows" for fault in found["decision"]["faults"])


def test_without_a_champion_or_its_reference_it_says_what_to_do(place, run) -> None:
    project = load_project(place.config)
    facts = Registry(project.registry_folder, NAME).champion()
    # A version as one from before there was a monitor is registered.
    with tracking(project.registry_folder, NAME, create=False):
        client = MlflowClient()
        experiment = client.get_run(facts.run_id).info.experiment_id
        bare = client.create_run(experiment)
        made = client.create_model_version(NAME, bare.info.artifact_uri, run_id=bare.info.run_id)
    with pytest.raises(monitoring.HealthscoreError) as refused:
        load_reference(project.registry_folder, NAME, made.version)
    assert refused.value.exit_code == 5
    assert "is registered without the counts that later dates are held against" in str(
        refused.value
    )
    assert str(refused.value).endswith("train again with 'healthscore train'.")
    shutil.rmtree(place.folder / "mlruns")
    ran = run("monitor", "-c", place.config)
    assert ran.code == 5
    assert "train a model first" in ran.sentence


def test_dates_that_cannot_be_checked_are_refused(place, run) -> None:
    for options, said in (
        (("--as-of", "2024-05-01"), "but 2024-05-01 lies before"),
        (("--as-of", "2030-01-01"), "every account would look silent"),
        (("--out", "drift.xlsx"), "A page is written as .html or .pdf"),
    ):
        ran = run("monitor", "-c", place.config, *options)
        assert ran.code in (2, 3)
        assert said in ran.sentence
    place.let_time_pass()
    ran = run("monitor", "-c", place.config, "--as-of", "2025-01-01", "--retrain")
    assert ran.code == 2
    assert "--retrain learns from all that is known, up to 2025-" in ran.sentence
    assert place.records() == []


def test_of_two_checks_at_once_one_is_recorded(place, monkeypatch) -> None:
    project = load_project(place.config)
    measured = monitoring.measure_findings

    def meanwhile(*arguments):
        # Another check begins and ends while this one measures.
        with monkeypatch.context() as patch:
            patch.setattr(monitoring, "measure_findings", measured)
            monitor(project, None)
        return measured(*arguments)

    monkeypatch.setattr(monitoring, "measure_findings", meanwhile)
    told_of = []
    monkeypatch.setattr(monitoring, "send_alert", lambda *a: told_of.append(a) or [])
    with pytest.raises(monitoring.HealthscoreError, match="was recorded while this one"):
        monitor(project, None)
    assert [record.number for record in place.records()] == [1]
    assert len(told_of) == 1


def test_a_change_of_schema_names_the_signals_that_are_gone(place, run) -> None:
    place.let_time_pass()
    text = place.config.read_text(encoding="utf-8")
    for old, table, signals in (
        ("[tables.usage_events]\n", "usage_events", {"usage_28d", "days_since_use"}),
        ('attributes = ["plan"]\n', "accounts", {"plan"}),
    ):
        place.config.write_text(text.replace(old, ""), encoding="utf-8")
        found = told(run("monitor", "-c", place.config, "--json"), 12)
        faults = found["decision"]["faults"]
        assert {(fault["kind"], fault["table"]) for fault in faults} == {("absent-column", table)}
        assert signals <= {name for fault in faults for name in fault["signals"]}
        assert any("the model cannot read these rows" in text for text in found["warnings"])


def test_a_registry_that_cannot_be_reached_is_named(place, run, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    ran = run("monitor", "-c", place.config)
    assert ran.code == 5
    assert "The registry 'http://127.0.0.1:9' could not be used" in ran.sentence
