"""The commands recommend and what-if: their options, files, and what they refuse."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from features.errors import SettingsError
from pipelines.commands.weights import Format, report_file
from pipelines.project.project import load_project
from pipelines.weights import history as recommendation_history
from pipelines.weights import recommend as recommending
from pipelines.weights import what_if
from tests.pipelines.weighed_company import recommended_for, weighed_company

pytestmark = pytest.mark.xdist_group("recommend")


@pytest.fixture
def config(taught, monkeypatch):
    """The weighed company's configuration, with what was learnt of it at hand."""
    project, known = weighed_company(taught.folder)
    recommended = recommended_for(taught.folder)
    monkeypatch.setattr(recommending, "recommend", lambda _: recommended)
    monkeypatch.setattr(what_if, "replay_rows", lambda *_: known)
    return project.path


def test_a_report_is_written_and_recorded_once(run, config, tmp_path, taught) -> None:
    file = tmp_path / "weights.csv"
    told = run("recommend", "-c", config, "--out", file, "--json").answer
    assert told["files"][0] == str(file)
    assert all(Path(written).exists() for written in told["files"])
    assert told["recorded"]
    recommended = recommended_for(taught.folder)
    assert told["segments"].keys() == recommended.advice.keys()
    weights = told["segments"]["all"]["advice"]
    assert sum(line["recommended"] for line in weights) == pytest.approx(100)
    again = run("recommend", "-c", config, "--format", "json", "--json").answer
    assert again["files"] == [str(config.parent / "weights-report.json")]
    assert not again["recorded"]
    tables = json.loads((config.parent / "weights-report.json").read_text("utf-8"))["tables"]
    assert [row["today"] for row in tables["weights"]] == [
        line.today for name in recommended.segments for line in recommended.advice[name].advice
    ]
    history = run("recommend", "-c", config, "--history", "--json").answer
    (only,) = history["recommendations"]
    assert only["record"]["made_at"] == recommended.made_at.isoformat()
    assert only["adoption"]["status"] in ("not adopted", "nothing to adopt")
    assert datetime.fromisoformat(only["record"]["learnt_until"])
    shown = run("recommend", "-c", config, "--history")
    assert shown.code == 0, shown.err
    assert shown.out.startswith(f"Recommended on {recommended.made_at:%Y-%m-%d}, model version")


def test_by_default_a_page_lies_beside_the_configuration(run, config) -> None:
    ran = run("recommend", "-c", config)
    assert ran.code == 0, ran.err
    file = config.parent / "weights-report.html"
    assert ran.out.splitlines()[-1] == f"Wrote {file}"
    assert "All accounts: " in ran.out
    page = file.read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    headline = " ".join(ran.out.split("\n\n")[0].split()).removesuffix(".")
    assert headline in " ".join(page.split())


def test_a_file_that_cannot_be_written_is_named(run, config, tmp_path) -> None:
    file = tmp_path / "weights.json"
    file.mkdir()
    ran = run("recommend", "-c", config, "--out", file)
    assert ran.code == 1
    assert ran.sentence == f"Is a directory: '{file}'; check the path and its permissions"


def test_what_if_prints_and_gives_json(run, config) -> None:
    told = run("what-if", "-c", config, "--weights", "usage=60,support=40", "--json").answer
    assert told["weights"]["what if"]["all"]["usage"] == 60
    shown = run("what-if", "-c", config, "--weights", "usage=60,support=40")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("These weights rank ")
    refused = run("what-if", "-c", config, "--weights", "usage=60,support=30")
    assert refused.code == 2
    assert refused.sentence == (
        "--weights must sum to 100 and sum to 90; correct the weights so that they do"
    )


def test_options_that_contradict_each_other_are_refused(run, config, tmp_path, monkeypatch) -> None:
    def no_work(_):
        raise AssertionError

    monkeypatch.setattr(recommending, "recommend", no_work)
    monkeypatch.setattr(recommendation_history, "history", no_work)
    absent = tmp_path / "absent" / "w.html"
    known = ".html, .pdf, .json, .csv, .xlsx"
    for options, message in {
        ("--out", "w.txt"): f"A recommendation is written as {known}, and 'w.txt' ends in '.txt';"
        " name another file with --out",
        ("--out", "w"): f"A recommendation is written as {known}, and 'w' ends in ''; name another"
        " file with --out",
        ("--out", "w.csv", "--format", "pdf"): "--format says pdf and the file of --out, 'w.csv',"
        " ends in '.csv'; leave one of them out",
        ("--out", absent): f"The folder '{absent.parent}' of --out does not exist; make it or name"
        " another file",
        ("--history", "--out", "w.csv"): "--history shows what is on record and writes no file;"
        " leave out --out and --format, or take --json for a program",
        ("--history", "--format", "csv"): "--history shows what is on record and writes no file;"
        " leave out --out and --format, or take --json for a program",
        ("--outcome", "growth"): "There is no outcome 'growth'; known are 'main'",
    }.items():
        ran = run("recommend", "-c", config, *options)
        assert (ran.code, ran.sentence) == (2, message)
    assert run("recommend", "-c", config, "--format", "docx").code == 2
    assert run("what-if", "-c", config).code == 2


def test_a_report_lies_beside_the_configuration(taught, tmp_path, monkeypatch) -> None:
    project = load_project(taught.config)
    assert report_file(project, None, None) == project.folder / "weights-report.html"
    assert report_file(project, None, Format.pdf) == project.folder / "weights-report.pdf"
    monkeypatch.chdir(tmp_path)
    assert report_file(project, Path("W.XLSX"), Format.xlsx) == Path("W.XLSX")
    with pytest.raises(SettingsError, match=r"ends in '\.?';"):
        report_file(project, Path("w."), None)
