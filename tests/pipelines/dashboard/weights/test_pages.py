from __future__ import annotations

import json
import math
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from features.errors import DataError
from pipelines.dashboard.access.notes import WITHHELD
from pipelines.dashboard.web.background import Done
from pipelines.dashboard.weights import bench as weights_bench
from pipelines.dashboard.weights import pages as weights_pages
from pipelines.dashboard.weights.sections import advice_sections, drawn
from pipelines.dashboard.weights.what_if import what_if_now
from pipelines.project.project import load_project
from pipelines.reports.wording import percent
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY
from pipelines.weights.what_if import WHAT_IF, what_if
from tests.pipelines.conftest import copy_of
from tests.pipelines.dashboard.opened_panel import ADMIN, EVERYBODY, LIMITED, opened_panel
from tests.pipelines.reports.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("panel")]
WEIGHTS = {"usage": 45.0, "support": 30.0, "surveys": 25.0}
TEXT = ",".join(f"{name}={weight}" for name, weight in WEIGHTS.items())
QUERY = "&".join(f"weight.{name}={weight}" for name, weight in WEIGHTS.items())
CONFIGURED = "weights = { usage = 10, surveys = 60, support = 30 }"


@pytest.fixture(scope="module")
def panel(scored, tmp_path_factory):
    """A panel whose company weighs surveys most, and whose names of segments are an attack."""
    folder = tmp_path_factory.mktemp("weighed") / "project"
    copy_of(scored, folder)
    config = folder / scored.config.name
    text = config.read_text(encoding="utf-8")
    assert "[scorecard]\n" in text
    config.write_text(text.replace("[scorecard]\n", f"[scorecard]\n{CONFIGURED}\n", 1), "utf-8")
    with opened_panel(config) as opened:
        yield opened


@pytest.fixture(scope="module")
def weights(panel) -> dict:
    answer = panel.ready("/api/v1/weights").json()
    assert (answer["state"], answer["sentence"]) == ("ready", None)
    return answer["weights"]


def plain(told: object) -> object:
    return json.loads(json.dumps(told))


@pytest.fixture(scope="module")
def oracle(panel) -> dict:
    """The same weights through the command's own function."""
    return plain(what_if(panel.project, TEXT).to_dict())


def test_a_replay_is_that_of_the_command(panel, weights, oracle) -> None:
    answer = panel.post("/api/v1/what-if", {"weights": WEIGHTS})
    assert answer.status_code == 200
    assert answer.json()["what_if"] == oracle


def test_weights_of_one_segment_leave_the_others_as_they_are(panel, weights) -> None:
    segment = next(one["segment"] for one in weights["segments"] if one["segment"] != "all")
    answer = panel.post("/api/v1/what-if", {"weights": WEIGHTS, "segment": segment}).json()
    told = answer["what_if"]
    assert told["segment"] == segment
    lines = {(row["segment"], row["contender"]): row for row in told["replayed"]["table"]}
    for place, asked in told["weights"][WHAT_IF].items():
        today = told["weights"][TODAY][place]
        assert (asked != today) == (place == segment)
    # Today's lines are those of the bench, whatever is asked.
    fixed = {(row["segment"], row["contender"]): row for row in weights["replayed"]["table"]}
    for place, row in fixed.items():
        assert lines[place] == row


def test_today_recommended_and_learnt_are_told_with_their_ranges(panel, weights) -> None:
    assert weights["today"]["all"] | {"usage": 0, "surveys": 0, "support": 0} == dict.fromkeys(
        weights["measures"], 0
    )
    assert weights["today"]["all"]["surveys"] == 60
    page = Page(panel.get("/weights").text)
    shown = [table for table in page.tables if table.headings[:1] == ["Measure"]]
    assert len(shown) == len(weights["segments"])
    by_name = {one["segment"]: one for one in weights["segments"]}
    for line in by_name["all"]["advice"]:
        row = shown[0].by_name[line["measure"]]
        assert float(row["Today"]) == pytest.approx(line["today"], abs=0.06)
        assert float(row["Recommended"]) == pytest.approx(line["recommended"], abs=0.06)
        if line["why"] != "no data":
            assert float(row["Learnt"]) == pytest.approx(line["learnt"], abs=0.06)
            assert line["low"] <= line["high"]
    for one in weights["segments"]:
        assert sum(line["recommended"] for line in one["advice"]) == pytest.approx(100)
        if not one["enough_evidence"]:
            assert f"Not enough evidence (churn followed {one['positives']} of" in page.text
            assert {line["verdict"] for line in one["advice"]} == {"keep"}


def test_the_form_works_without_script_and_can_be_linked_to(panel, oracle) -> None:
    page = Page(panel.get(f"/weights?segment=all&{QUERY}").text)
    numbers = {
        name.removeprefix("weight."): float(value)
        for name, value in _inputs(page)
        if name.startswith("weight.")
    }
    assert {name: weight for name, weight in numbers.items() if weight} == WEIGHTS
    table = page.table("Pairs ranked right")
    lines = {
        row["contender"]: row for row in oracle["replayed"]["table"] if row["segment"] == "all"
    }
    names = {
        TODAY: "Today's weights",
        WHAT_IF: "Your weights",
        RECOMMENDED: "Recommended weights",
        FULL_MODEL: "Health score",
    }
    assert [row[0] for row in table.rows] == list(names.values())
    for contender, name in names.items():
        row, line = table.by_name[name], lines[contender]
        assert row["Seen red in time"].startswith(percent(line["caught"], 0))
        assert row["Pairs ranked right"].startswith(percent(line["auc"]))
    moves = {
        row["contender"]: row for row in oracle["replayed"]["moves"] if row["segment"] == "all"
    }
    changed = table.by_name["Your weights"]["Change colour"]
    assert changed.startswith(f"{moves[WHAT_IF]['moved']:.0f} of {moves[WHAT_IF]['accounts']:,.0f}")
    part = panel.get(f"/weights/result?segment=all&{QUERY}")
    assert Page(part.text).table("Pairs ranked right").rows == table.rows


def _inputs(page: Page) -> list[tuple[str, str]]:
    names = [value for tag, name, value in page.attributes if tag == "input" and name == "name"]
    values = {}
    current: dict[str, str] = {}
    for tag, name, value in page.attributes:
        if tag != "input":
            continue
        if name == "type":
            current = {}
        current[name] = value
        if "name" in current and "value" in current:
            values[current["name"]] = current["value"]
    return [(name, values[name]) for name in names if name in values]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"weights": {"usage": 40, "support": 50}},
            "The weights must sum to 100 and sum to 90; correct the weights so that they do.",
        ),
        (
            {"weights": {"usage": 140, "support": -40}},
            "The weighting gives 'usage' the weight 140, and a weight lies between 0 and 100;"
            " correct it.",
        ),
        (
            {"weights": {"usage": 50, "suport": 50}},
            "The weighting names 'suport', which is no signal group and no measure; did you mean"
            " 'support'?.",
        ),
        (
            {"weights": {"usage": 100}, "segment": "<b>"},
            "There is no segment '<b>' of the model",
        ),
    ],
)
def test_weights_that_make_no_scorecard_are_refused_in_a_sentence(
    panel, weights, told, sentence
) -> None:
    refused = panel.post("/api/v1/what-if", told)
    assert refused.status_code == 422
    assert refused.json()["detail"].replace("??", "?").startswith(sentence[:60])
    assert refused.json()["detail"].startswith(sentence.split("; did you")[0])


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "{}",
        '{"weights": {}}',
        '{"weights": []}',
        '{"weights": {"usage": "much"}}',
        '{"weights": {"usage": NaN, "support": 100}}',
        '{"weights": {"usage": Infinity}}',
        '{"weights": {"usage": 100}, "further": 1}',
        '{"weights": {"usage": 1e400}}',
        '{"weights": {"usage": 100}, "segment": 7}',
        "[" * 10_000,
    ],
)
def test_what_is_no_question_is_refused(panel, weights, body) -> None:
    response = panel.post("/api/v1/what-if", None, json=None, content=body.encode())
    assert response.status_code in (400, 422), response.text
    assert response.json()["detail"]


def test_a_page_tells_what_is_wrong_with_weights(panel, weights) -> None:
    for query, sentence in (
        ("weight.usage=40&weight.support=50", "must sum to 100 and sum to 90"),
        ("weight.usage=much", "The weight of 'usage' is 'much', which is no number"),
        ("weight.usage=nan&weight.support=100", "The weight of 'usage' is 'nan', which is no"),
        ("weight.usage=1&weight.support=1e400", "The weight of 'support' is '1e400', which is no"),
        ("weight.usage=1e308&weight.support=1e308", "a weight lies between 0 and 100"),
        ("weight.usage=-1e308&weight.support=100", "a weight lies between 0 and 100"),
        ("weight.<script>alert(1)</script>=100", "no signal group and no measure"),
        ("weight.usage=100&segment=<script>", "There is no segment"),
        ("&".join(f"weight.a{n}=1" for n in range(200)), "a scorecard has 120 at most"),
    ):
        for path in ("/weights", "/weights/result"):
            response = panel.get(f"{path}?{query}")
            assert response.status_code == 422
            page = Page(response.text)
            assert sentence in page.text.replace("\u202f", " ")
            assert page.tags["script"] <= 2


def test_the_whole_book_is_not_for_who_sees_a_part(panel, weights) -> None:
    for path in ("/weights", "/weights/result", "/api/v1/weights", "/model", "/api/v1/model"):
        assert panel.get(path, LIMITED).status_code == 403
    refused = panel.post("/api/v1/what-if", {"weights": WEIGHTS}, who=LIMITED)
    assert refused.status_code == 403


def test_a_question_from_elsewhere_is_refused(panel, weights) -> None:
    headers = {"X-User": "lee", "X-CSRF-Token": "x"}
    told = {"weights": WEIGHTS}
    assert panel.client.post("/api/v1/what-if", json=told, headers=headers).status_code == 403


def test_many_rows_are_drawn_from_and_it_says_so(panel, weights, monkeypatch) -> None:
    """The bench that stands is set up again from its own rows, which takes no reading."""
    whole = panel.app.state.weights_benches.ask(panel.project).result().value
    frame = whole.known.rows.drop(columns=["probability", "score"])
    known = replace(whole.known, frame=frame, past=np.arange(len(frame)))
    told = []
    monkeypatch.setattr(weights_bench, "replay_rows", lambda *given: known)
    bench = weights_bench.set_up(panel.project, lambda *step: told.append(step), most_rows=300)
    assert [number for _, number in told] == [1, 2, 3, 4]
    some, everybody = bench.drawn
    assert everybody == weights["replayed_accounts"] == weights["replayed_of"]
    assert some < everybody
    assert len(bench.known.rows) <= 300
    assert bench.known.rows["account_id"].nunique() == some
    found = what_if_now(panel.project, bench, WEIGHTS, None)
    assert found.replayed.table["rows"].max() == len(bench.known.rows)
    assert not math.isnan(found.replayed.table["auc"].iloc[0])
    page = advice_sections(bench, "churn", "churned")
    assert len(page) >= 1
    assert f"on {some} of {everybody} accounts drawn by chance" in drawn(bench)


def test_a_bench_that_is_being_set_up_and_one_that_cannot_be_say_so(panel, monkeypatch) -> None:
    go = threading.Event()

    def slow(project: object, tell: object) -> object:
        tell("reading <b>the tables</b>", 1)
        go.wait(20)
        raise DataError("The tables are gone; bring them back")

    benches = weights_bench.WeightsBenches(panel.app.state.weights_benches.reads)
    monkeypatch.setattr(panel.app.state, "weights_benches", benches)
    monkeypatch.setattr(weights_bench, "set_up", slow)
    monkeypatch.setattr(weights_pages, "API_SECONDS", 0.1)
    monkeypatch.setattr(weights_pages, "PAGE_SECONDS", 0.1)
    page = panel.get("/weights")
    assert page.status_code == 200
    assert "step 1 of 4, reading &lt;b&gt;the tables&lt;/b&gt;" in page.text
    for response in (
        panel.get("/api/v1/weights"),
        panel.post("/api/v1/what-if", {"weights": WEIGHTS}),
    ):
        assert (response.status_code, response.json()["state"]) == (202, "working")
    assert panel.get(f"/weights/result?{QUERY}").status_code == 409
    go.set()
    told = panel.ready("/api/v1/weights").json()
    assert (told["state"], told["sentence"]) == ("impossible", WITHHELD)
    assert "The tables" not in panel.get(f"/weights/result?{QUERY}").text
    for who, reason in ((EVERYBODY, ""), (ADMIN, ": The tables are gone; bring them back")):
        shown = Page(panel.get("/weights", who).text)
        assert f"Weights cannot be shown now. {WITHHELD}{reason}." in shown.text
    benches.close()


def test_without_a_champion_there_is_a_sentence(scored, tmp_path) -> None:
    config = tmp_path / scored.config.name
    shutil.copy(scored.config, config)
    from pipelines.dashboard.panel.registry_reads import RegistryReads

    reads = RegistryReads()
    told = weights_bench.WeightsBenches(reads).ask(load_project(config))
    assert isinstance(told, Done)
    assert told.failure.reason.startswith("No champion of 'healthscore' was found in the registry")
    reads.close()
