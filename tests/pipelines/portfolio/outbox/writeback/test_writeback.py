"""Writing back to servers that fail in every way: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import SettingsError, StoreError
from pipelines.portfolio.outbox.writeback import writing
from pipelines.portfolio.outbox.writeback.targets import Hubspot
from pipelines.portfolio.outbox.writeback.writing import write_back
from pipelines.project.delivery import http
from pipelines.project.delivery.http import Answer
from pipelines.project.project import load_project
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store
from tests.pipelines.dashboard.served import DAY, company, issue_scores
from tests.pipelines.portfolio.outbox.writeback.contract_servers import (
    SECRET,
    TOKEN,
    Crm,
    running_crm,
)

NEXT = DAY + timedelta(days=7)
FIELDS = '{ score = "hs_score", band = "hs_band", change = "hs_change", as_of = "hs_day" }'
SECTIONS = {
    "hubspot": f'kind = "hubspot"\nurl = "URL"\nmatch = "hs_account"\nfields = {FIELDS}\n',
    "salesforce": f'kind = "salesforce"\nurl = "URL"\nmatch = "Ext__c"\nfields = {FIELDS}\n',
    "own": f'kind = "http"\nurl = "URL/own"\nsecret_env = "OWN_SECRET"\nfields = {FIELDS}\n',
}
MORE = 'token_env = "CRM_TOKEN"\nbatch = 60\ntimeout_seconds = 0.5\n'


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """A company of 200 accounts with scores of a day."""
    folder = tmp_path_factory.mktemp("issued") / "company"
    folder.mkdir()
    project = company(folder)
    issue_scores(project)
    return project


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crm]:
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    monkeypatch.setenv("OWN_SECRET", SECRET)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running_crm() as running:
        yield running


@pytest.fixture
def ready(issued, crm, tmp_path):
    """Make a project that writes to a kind of server."""

    def make(kind: str, more: str = MORE):
        folder = tmp_path / "company"
        shutil.copytree(issued.folder, folder)
        section = SECTIONS[kind].replace("URL", crm.url) + more
        with (folder / "healthscore.toml").open("a", encoding="utf-8") as file:
            file.write(f"[writeback.crm]\n{section}")
        return load_project(folder / "healthscore.toml")

    return make


def expected(project) -> dict[str, tuple[float, str]]:
    """What the newest run says, read without the code under test."""
    with open_store(project, read_only=True) as store:
        rows = store.scores(issued_run(store, "main")).read_all().to_pylist()
    return {row["account_id"]: (round(row["score"], 2), row["band"]) for row in rows}


def held(crm: Crm) -> dict[str, tuple[float, str]]:
    return {
        name: (float(one["hs_score"]), one["hs_band"])
        for name, one in crm.records.items()
        if one["hs_band"]
    }


each_kind = pytest.mark.parametrize("kind", list(SECTIONS))


@each_kind
def test_everybody_is_written_and_then_what_changed(ready, crm, kind) -> None:
    project = ready(kind)
    (first,) = write_back(project)
    assert (first.written, first.failures, first.stopped) == (200, 0, None)
    assert first.as_of == DAY.isoformat()
    assert held(crm) == expected(project)
    assert len(crm.requests) == 4
    (again,) = write_back(project)
    assert (again.written, len(crm.requests)) == (0, 4)
    before = expected(project)
    issue_scores(project, 190, seed=1, day=NEXT)
    after = expected(project)
    (second,) = write_back(project)
    assert held(crm) == after
    assert second.written <= 200
    gone = set(before) - set(after)
    assert len(gone) == 10
    assert {name for name, one in crm.records.items() if not one["hs_band"]} == gone
    name = next(one for one in after if after[one][0] != before[one][0])
    change = float(crm.records[name]["hs_change"])
    assert change == pytest.approx(after[name][0] - before[name][0], abs=0.011)
    assert max(crm.keys.values()) == 1


@each_kind
@pytest.mark.parametrize(
    "faults",
    [
        ["429", "503", "500", ""],
        ["half", "", "half"],
        ["drop", "drop", "", "drop"],
        ["hang", "", "", "500"],
        ["", "half", "429", "hang", ""],
    ],
)
def test_faults_that_pass_lose_nothing_and_repeat_the_same(ready, crm, kind, faults) -> None:
    project = ready(kind)
    crm.faults = list(faults)
    (report,) = write_back(project)
    assert (report.written, report.stopped) == (200, None)
    assert held(crm) == expected(project)
    # What was sent again was the same request, by which a server tells that it has it.
    assert len({one[2]["Idempotency-Key"] for one in crm.requests}) == 4


@each_kind
@pytest.mark.parametrize("fault", ["500", "429", "hang", "drop", "half"])
def test_where_it_stopped_it_goes_on(ready, crm, kind, fault) -> None:
    project = ready(kind, f"{MORE}retries = 1\n")
    crm.faults = ["", fault, fault]
    (report,) = write_back(project)
    assert report.written == 60
    assert report.stopped is not None
    assert report.stopped.startswith("the server was tried 2 times and ")
    (report,) = write_back(project)
    assert (report.written, report.stopped) == (140, None)
    assert held(crm) == expected(project)
    assert len({one[2]["Idempotency-Key"] for one in crm.requests}) == 4


@each_kind
def test_a_newer_run_waits_until_the_one_begun_is_written(ready, crm, kind) -> None:
    project = ready(kind, f"{MORE}retries = 0\n")
    crm.faults = ["", "500"]
    assert write_back(project)[0].stopped is not None
    issue_scores(project, 190, seed=1, day=NEXT)
    (report,) = write_back(project)
    assert (report.stopped, report.as_of) == (None, NEXT.isoformat())
    assert held(crm) == expected(project)


@each_kind
def test_accounts_that_are_not_taken_are_named_and_tried_again(ready, crm, kind) -> None:
    project = ready(kind)
    bad = ["A-0002", "A-0100", "<b>id</b>"]
    crm.bad = dict.fromkeys(bad, "hs_score\x1b[31m is wrong")
    (report,) = write_back(project)
    assert (report.written, report.failures, report.stopped) == (197, 3, None)
    assert sorted(one.account_id for one in report.failed) == sorted(bad)
    assert {one.why for one in report.failed} == {"hs_score [31m is wrong"}
    assert not report.is_done
    crm.bad = {}
    (report,) = write_back(project)
    assert (report.written, report.failures, report.is_done) == (3, 0, True)
    assert held(crm) == expected(project)


def test_a_batch_that_is_refused_whole_is_halved_until_the_account_is_known(ready, crm) -> None:
    project = ready("hubspot")
    crm.is_strict, crm.bad = True, {"A-0100": "no such company"}
    (report,) = write_back(project)
    assert (report.written, report.failures) == (199, 1)
    assert report.failed[0].why == "answered with status 400: no such company"
    # A batch of 60 is halved at most six times.
    assert len(crm.requests) <= 4 + 2 * 6


def test_a_setting_that_is_wrong_is_not_taken_for_two_hundred_wrong_accounts(ready, crm) -> None:
    project = ready("hubspot")
    crm.is_strict = True
    crm.bad = dict.fromkeys(expected(project), 'no property "hs_score"')
    (report,) = write_back(project)
    assert (report.written, report.failures) == (0, 0)
    assert report.stopped == (
        'the server was tried once and answered with status 400: no property "hs_score"'
    )
    assert len(crm.requests) < 25


@pytest.mark.parametrize("mark", ["²", "9" * 5000, "-1", None, [], {}])
def test_answers_that_name_no_row_are_no_fault_of_ours(ready, monkeypatch, mark) -> None:
    project = ready("hubspot")
    told = {"results": [], "errors": [{"message": "no", "context": {"objectWriteTraceId": [mark]}}]}
    answer = Answer(200, json.dumps(told).encode())
    monkeypatch.setattr(Hubspot, "_ask", lambda *_: answer)
    (report,) = write_back(project)
    assert report.written == 0
    assert str(report.stopped).endswith("answered for 0 of 60 accounts")


def test_a_server_that_repeats_a_secret_gets_it_into_no_report(ready, crm) -> None:
    project = ready("hubspot")
    crm.is_strict = True
    crm.bad = dict.fromkeys(expected(project), f"bad header Bearer {TOKEN}")
    (report,) = write_back(project)
    assert str(report.stopped).endswith("status 400: bad header Bearer (hidden)")
    assert TOKEN not in json.dumps(report.to_dict())


def test_an_app_is_given_a_token_and_another_when_it_ends(ready, crm, monkeypatch) -> None:
    monkeypatch.setenv("APP", "id")
    monkeypatch.setenv("APP_SECRET", "secret")
    project = ready(
        "salesforce", 'client_id_env = "APP"\nclient_secret_env = "APP_SECRET"\nbatch = 100\n'
    )
    (report,) = write_back(project)
    assert (report.written, crm.tokens[-1]) == (200, "given-1")
    assert crm.requests[0][3] == {
        "grant_type": ["client_credentials"], "client_id": ["id"], "client_secret": ["secret"],
    }  # fmt: skip
    issue_scores(project, 190, seed=1, day=NEXT)
    target = writing.target_of("crm", project.settings.writeback["crm"])
    target._given = "an old one"  # type: ignore[attr-defined]
    with open_store(project, read_only=True) as store:
        rows, _ = writing.read_rows(
            project, store, (None, issued_run(store, "main")), after=None, size=5
        )
    assert target.send(rows, "again") == []


def test_killed_in_the_middle_nothing_is_lost_and_nothing_twice(ready, crm, spawn) -> None:
    project = ready("own", MORE.replace("0.5", "20"))
    kills = 0
    for fault in (["kill"], ["", "", "kill"]):
        crm.faults = list(fault)
        crm.victim = 0
        process = spawn("writeback", "-c", project.path, before=HELD, stdin=-1)
        crm.victim = process.pid
        process.communicate("go\n", timeout=300)
        kills += process.returncode != 0
    assert kills == 2
    (report,) = write_back(project)
    assert report.stopped is None
    assert held(crm) == expected(project)
    # The server took each request once; a request that was not on record was sent again as it was.
    assert len(crm.keys) == 4
    assert max(crm.keys.values()) == 2


HELD = "import sys; sys.stdin.readline()"


def test_a_rehearsal_asks_nobody_and_needs_no_secret(ready, crm, monkeypatch) -> None:
    project = ready("hubspot")
    monkeypatch.delenv("CRM_TOKEN")
    (report,) = write_back(project, dry_run=True)
    assert (report.written, report.waiting, len(report.sample)) == (0, 60, 20)
    assert crm.requests == []
    assert not (project.folder / "writeback.jsonl").exists()
    with pytest.raises(
        SettingsError,
        match=r"variable 'CRM_TOKEN' that \[writeback.crm\] token_env names is not set; set it",
    ):
        write_back(project)


def test_other_fields_are_written_for_everybody(ready, crm) -> None:
    project = ready("hubspot")
    write_back(project)
    text = project.path.read_text("utf-8").replace('"hs_change"', '"hs_moved"')
    project.path.write_text(text, "utf-8")
    (report,) = write_back(load_project(project.path))
    assert report.written == 200
    assert "hs_moved" in crm.records["A-0002"]


def test_a_store_that_was_replaced_is_written_anew_and_said(ready, crm) -> None:
    project = ready("hubspot")
    write_back(project)
    (project.folder / "scores.duckdb").unlink()
    issue_scores(project, 100, day=NEXT)
    (report,) = write_back(project)
    assert report.written == 100
    assert report.notes == [
        "crm: the store has no longer the run that was written last, so everybody is written again"
    ]


def test_two_at_once_are_one(ready) -> None:
    project = ready("own")
    with (
        writing.opened_ledger(project.folder / "writeback.jsonl"),
        pytest.raises(StoreError, match=r"what was written back '.*' is held by another run"),
    ):
        write_back(project)


def test_what_was_erased_is_not_written(ready, crm, run) -> None:
    project = ready("hubspot")
    crm.bad = {"A-0002": "wrong"}
    write_back(project)
    for file in (project.folder / "data").glob("*.parquet"):
        rows = pq.read_table(file)
        pq.write_table(rows.filter(pc.field("account_id") != "A-0002"), file)
    erased = run("erase", "A-0002", "-c", project.path, "--yes", "--json").answer
    assert erased["places"]["writeback"] >= 1
    assert "A-0002" not in (project.folder / "writeback.jsonl").read_text("utf-8")
    crm.bad, crm.records = {}, {}
    write_back(project)
    assert crm.records == {}
    issue_scores(project, 100, seed=3, day=NEXT)
    write_back(project)
    assert erased["tombstone"] not in crm.records


def test_the_command_says_what_it_wrote(ready, crm, run) -> None:
    project = ready("hubspot", f"{MORE}retries = 0\n")
    crm.faults = ["500"]
    ran = run("writeback", "-c", project.path)
    assert ran.code == 14
    assert "crm: stopped, and goes on from there next time: the server was tried once" in ran.out
    crm.bad = {"A-0002": "wrong"}
    ran = run("writeback", "crm", "-c", project.path, "--json")
    assert ran.code == 14
    (told,) = json.loads(ran.out)["writeback"]
    assert (told["written"], told["failures"]) == (199, 1)
    assert told["failed"] == [{"account_id": "A-0002", "why": "wrong"}]
    ran = run("writeback", "crn", "-c", project.path)
    assert ran.sentence == (
        "There is no section [writeback.crn]; did you mean 'crm'?; describe it there"
    )


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('kind = "http"', "url says where scores are written to, and is missing; add it"),
        ('kind = "hubspot"', "fields names the properties that take what is written"),
        (f'kind = "hubspot"\nfields = {FIELDS}', "token_env names the variable that holds"),
        (
            f'kind = "hubspot"\nfields = {FIELDS}\ntoken_env = "A"\nbatch = 101',
            "batch is at most 100 for HubSpot, and is 101; lower it",
        ),
        ('kind = "http"\nurl = "ftp://x"', "url must be an address that starts with https://"),
        ('kind = "http"\nurl = "https://me:pw@x"', "url must hold no user and password"),
        ('kind = "http"\nurl = "https://x"\nfields = { scores = "x" }', "fields"),
    ],
)
def test_settings_that_cannot_be_are_refused(issued, tmp_path, section, says) -> None:
    path = tmp_path / "healthscore.toml"
    text = issued.path.read_text("utf-8")
    path.write_text(f"{text}[writeback.x]\n{section}\n", "utf-8")
    with pytest.raises(SettingsError) as told:
        load_project(path)
    assert says in str(told.value)
    assert "me:pw" not in str(told.value)


def test_addresses_are_kept_with_no_model_and_shape_no_score(issued, ready) -> None:
    project = ready("own")
    assert "127.0.0.1" not in project.shown_text
    assert project.fingerprint == issued.fingerprint
    assert date.fromisoformat("2025-01-01") == DAY
