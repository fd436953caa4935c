"""What readers say of a run whose reasons were let go: one sentence, and everything else."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.project.erase import reasons
from pipelines.store.runs import now
from tests.pipelines.conftest import copy_of

EARLIER = "2025-03-15"
SAID = f"Reasons of the scores of {EARLIER} are no longer kept: they were let go on "


@pytest.fixture
def gone(scored: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scored project whose earlier run is thought to be old."""
    project = copy_of(scored, tmp_path / "project")
    text = project.config.read_text(encoding="utf-8")
    kept = text.replace("# keep_reasons_days = 396", "keep_reasons_days = 60")
    project.config.write_text(kept, encoding="utf-8")
    later = now() + timedelta(days=61)
    monkeypatch.setattr(reasons, "now", lambda: later)
    monkeypatch.setattr(
        reasons,
        "runs_due",
        lambda runs, *_: [one for one in runs if str(one.key.as_of) == EARLIER],
    )
    return project


def test_every_reader_says_that_reasons_are_no_longer_kept(
    gone: Any, run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("-c", gone.config, "--as-of", EARLIER)
    compacted = run("compact", "-c", gone.config, "--json").answer
    assert compacted["runs"] == 1
    assert compacted["freed"] == compacted["bytes_before"] - compacted["bytes_after"]
    assert compacted["said"][0] == "Let the reasons of 1 run go, kept for 60 days"
    assert compacted["said"][1].startswith("The store takes ")
    verified = run("verify-run", *asked, "--json").answer
    assert (verified["same"], verified["reasons_kept"]) == (True, False)
    assert verified["said"][-1].startswith("Reasons of 1 run were let go as the configuration had")
    exported = run("export", tmp_path / "all.parquet", *asked, "--json").answer
    assert exported["let_go"].startswith(SAID)
    (row, *_) = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert row["reason_1"] is row["reason_1_points"] is None
    assert row["score"] is not None
    bare = ("--columns", "account_id,score")
    assert run("export", tmp_path / "all.csv", *asked, *bare, "--json").answer["let_go"] is None
    assert SAID in run("export", tmp_path / "all.csv", *asked).out
    worklist = ("--worklist", "--first", 3, "--json")
    run("export", tmp_path / "calls.parquet", *asked, *worklist).answer  # noqa: B018
    for call in pq.read_table(tmp_path / "calls.parquet").to_pylist():
        assert call["reason_1"].startswith(SAID)
        assert call["play"] is None
    page = run("portfolio", *asked, "--out", tmp_path / "page.html", "--json").answer
    assert {said[: len(SAID)] for call in page["calls"] for said in call["sentences"]} == {SAID}
    assert SAID in (tmp_path / "page.html").read_text(encoding="utf-8")
    # Reasons are not read to tell why a score moved.
    account = pq.read_table(tmp_path / "all.parquet")["account_id"][0].as_py()
    assert run("explain", account, "-c", gone.config, "--since", EARLIER, "--json").code == 0
    # A run that is asked for again stays as it is, and nothing is left to let go.
    again = run("score", *asked, "--json").answer
    assert (again["issued_before"], again["reasons_let_go"]) == (True, 0)


def test_a_night_lets_old_reasons_go_and_says_what_hinders_it(
    gone: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(project: Any) -> Any:
        raise reasons.StoreError("The store is held")

    with monkeypatch.context() as patched:
        patched.setattr(reasons, "let_reasons_go", held)
        ran = run("score", "-c", gone.config, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["warnings"][-1] == (
        "The scores were issued, and old reasons were not let go: The store is held"
    )
    assert run("score", "-c", gone.config, "--json").answer["reasons_let_go"] == 1
