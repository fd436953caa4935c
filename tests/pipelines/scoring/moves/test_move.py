"""``healthscore explain --since``: a move between two scores, split with nothing left over."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console

from features.build import build_features
from features.errors import DataError, HealthscoreError, RegistryError
from features.tables.company import Company
from models.registry.models import Registry
from models.scoring.calibration import LogisticCalibrator
from models.scoring.health_model import HealthModel
from models.scoring.scorer import Scorer
from pipelines.project.company import open_company
from pipelines.project.project import Project, load_project
from pipelines.scoring.moves.move import ExplainedMove, explain_move, explain_rows
from pipelines.scoring.moves.move_screen import show_move
from pipelines.store.issued import issued_scores
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from tests.pipelines.conftest import copy_of

EARLIER, BETWEEN, LATEST = date(2025, 3, 15), date(2025, 5, 1), date(2025, 7, 1)


@dataclass(frozen=True)
class Moved:
    """The scored company after a promotion, and all it takes to explain its moves."""

    project: Project
    company: Company
    models: dict[str, HealthModel]
    frame: pd.DataFrame

    def row(self, account: str, day: date) -> pd.DataFrame:
        here = self.frame["observation_date"] == pd.Timestamp(day)
        return self.frame[here & (self.frame["account_id"] == account)].reset_index(drop=True)

    def score(self, account: str, day: date, version: str) -> float:
        return float(
            Scorer(self.models[version]).score(self.row(account, day)).table["score"].iloc[0]
        )

    def explained(self, account: str, *days: date, **changed: Any) -> ExplainedMove:
        rows = {day: self.row(account, day).assign(**changed) for day in days}
        history = issued_scores(self.project, account)
        return explain_rows(self.project, account, rows, history, (self.models["2"], "2"))

    @property
    def accounts(self) -> list[str]:
        """Accounts that were there on all dates, those whose score moved most first."""
        counts = self.frame["account_id"].value_counts()
        here = self.frame[self.frame["account_id"].isin(counts[counts == 3].index)]
        scores = Scorer(self.models["2"]).score(here).table.sort_values("observation_date")
        by_account = scores.groupby("account_id")["score"]
        moved = (by_account.last() - by_account.first()).abs()
        return moved.sort_values(ascending=False, kind="stable").index.tolist()


def promote_another(folder: Path) -> dict[str, HealthModel]:
    """Register a version with another calibration and one segment less, and make it champion."""
    facts = Registry(folder / "mlruns", "healthscore").champion()
    model, first = facts.model, facts.version
    line = model.calibrator.to_dict()
    lines = {name: [start + 0.4, 0.8 * slope] for name, (start, slope) in line["lines"].items()}
    other = replace(
        model,
        calibrator=LogisticCalibrator.from_dict({**line, "lines": lines}),
        segments=replace(model.segments, names=model.segments.names[1:]),
    )
    other.save(folder / "second" / "artifacts" / "health_model")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    source = (folder / "second").as_uri()
    made = client.create_model_version("healthscore", source, run_id=facts.run_id)
    client.set_registered_model_alias("healthscore", "champion", str(made.version))
    return {first: model, str(made.version): other}


@pytest.fixture(scope="module")
def moved(scored, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """Version 1 scored two dates; version 2, promoted since, the later of them once more."""
    folder = tmp_path_factory.mktemp("moved") / "project"
    copy_of(scored, folder)
    models = promote_another(folder)
    project = load_project(folder / "healthscore.toml")
    settings = project.settings
    with open_company(project) as company:
        days = [EARLIER, BETWEEN, LATEST]
        frame = build_features(company, days, settings.outcome, settings.signals, labelled=False)
        latest = frame[frame["observation_date"] == pd.Timestamp(LATEST)]
        batch = pa.RecordBatch.from_pandas(latest, preserve_index=False)
        key = RunKey("main", LATEST, "2")
        groups = {signal.name: signal.group for signal in models["2"].signals}
        with (
            open_store(project, read_only=False) as store,
            store.issue(key, groups) as writer,
        ):
            writer.write(Scorer(models["2"]).score_batch(batch))
            writer.finish({})
        yield Moved(project, company, models, frame)


@pytest.fixture
def opened(moved: Moved, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the company open already: opening and checking it is not tested here."""

    @contextmanager
    def reopened(project: Project) -> Iterator[Company]:
        yield moved.company

    monkeypatch.setattr("pipelines.scoring.moves.move.open_company", reopened)


def total(told: ExplainedMove, *kinds: str) -> float:
    return math.fsum(part.points for part in told.move.parts if part.kind in kinds)


def assert_exact(told: ExplainedMove) -> None:
    assert math.fsum(part.points for part in told.move.parts) == pytest.approx(
        told.end.score - told.start.score, abs=1e-9
    )


def shown(told: ExplainedMove, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), markup=False, emoji=False)
    show_move(console, told)
    return console.export_text().splitlines()


def test_the_command_splits_an_issued_move(moved, run) -> None:
    """The whole way: tables, registry, store, and one JSON object."""
    account = moved.accounts[0]
    config = moved.project.path
    answer = run("explain", account, "--since", EARLIER, "-c", config, "--json").answer
    assert (answer["account_id"], answer["outcome"], answer["warnings"]) == (account, "main", [])
    for end, day, version in ((answer["from"], EARLIER, "1"), (answer["to"], LATEST, "2")):
        with open_store(moved.project, read_only=True) as store:
            held = store.account_history("main", account).to_pylist()
        (row,) = [r for r in held if (r["as_of"], r["model_version"]) == (day, version)]
        assert {name: end[name] for name in ("score", "band", "segment")} == {
            name: row[name] for name in ("score", "band", "segment")
        }
        assert (end["as_of"], end["model_version"]) == (day.isoformat(), version)
        assert (end["revision"], end["issued_at"]) == (1, f"{row['issued_at'].isoformat()}Z")
    change = answer["to"]["score"] - answer["from"]["score"]
    assert answer["change"] == pytest.approx(change, abs=1e-12)
    parts = math.fsum(part["points"] for part in answer["parts"])
    assert parts == pytest.approx(change, abs=1e-9)
    assert sum(answer["totals"].values()) == pytest.approx(change, abs=1e-9)
    # What it does is what the rest of this file does with rows that are at hand.
    told = moved.explained(account, EARLIER, LATEST)
    assert [part["change"] for part in answer["parts"]] == [p.change for p in told.move.parts]


def test_the_model_s_part_is_the_old_signals_read_by_either_model(moved) -> None:
    kinds = set()
    for account in moved.accounts[:12]:
        told = moved.explained(account, EARLIER, LATEST)
        assert_exact(told)
        between = moved.score(account, EARLIER, "2")
        assert told.start.score == pytest.approx(moved.score(account, EARLIER, "1"), abs=1e-9)
        assert total(told, "model") == pytest.approx(between - told.start.score, abs=1e-9)
        assert total(told, "segment", "behaviour", "missing", "recovered", "interplay") == (
            pytest.approx(told.end.score - between, abs=1e-9)
        )
        kinds |= {part.kind for part in told.move.parts}
    assert {"model", "behaviour", "missing", "recovered"} <= kinds
    assert "revised" not in kinds


def test_the_screen_tells_a_move_line_by_line(moved) -> None:
    account = moved.accounts[1]
    told = moved.explained(account, EARLIER, LATEST)
    lines = [" ".join(line.split()) for line in shown(told, width=120)]
    start, end = told.start, told.end
    assert lines[0].startswith(f"{account}: {start.score:.1f} ")
    assert lines[0].endswith(f", {end.score - start.score:+.1f} points".replace("-", "−"))
    assert any(line.startswith("Churn ") for line in lines[1:3])
    first = next(at for at, line in enumerate(lines) if line.startswith("Score of 2025-03-15"))
    last = next(at for at, line in enumerate(lines) if line.startswith("Score of 2025-07-01"))
    assert f"issued (model 1) {start.score:.1f} ┃" in lines[first]
    assert f"issued (model 2) {end.score:.1f} ┃" in lines[last]
    points = [float(line.replace("−", "-").split()[-2]) for line in lines[first + 1 : last]]
    assert sum(points) == pytest.approx(end.score - start.score, abs=0.05 * len(points) + 0.1)
    for line, gained in zip(lines[first + 1 : last], points, strict=True):
        assert set(line.split()[-1]) == ({"▒"} if gained < 0 else {"█"}) or gained == 0
    assert max(map(len, shown(told))) <= 80


def test_dates_without_an_issued_score_are_computed_and_said_so(moved) -> None:
    account = moved.accounts[2]
    told = moved.explained(account, BETWEEN, LATEST)
    assert (told.start.issued_at, told.start.model_version) == (None, "2")
    assert told.start.score == pytest.approx(moved.score(account, BETWEEN, "2"), abs=1e-9)
    assert told.warnings == [
        "No score of 2025-05-01 was issued for this account: it is computed from what the tables"
        " hold today, with model version 2; the nearest issued one is of 2025-03-15"
    ]
    assert_exact(told)
    assert total(told, "model", "revised") == 0
    assert any("Score of 2025-05-01, computed (model 2)" in line for line in shown(told))


def test_an_issued_score_keeps_its_model_and_lends_it_to_the_date_before(moved) -> None:
    account = moved.accounts[0]
    history = [score for score in issued_scores(moved.project, account) if score.as_of == EARLIER]
    later = [replace(history[0], as_of=BETWEEN, score=moved.score(account, BETWEEN, "1"))]
    rows = {day: moved.row(account, day) for day in (EARLIER, BETWEEN)}
    told = explain_rows(moved.project, account, rows, later, (moved.models["2"], "2"))
    assert (told.start.model_version, told.end.model_version) == ("1", "1")
    assert (told.start.issued_at, told.end) == (None, later[0])
    assert_exact(told)
    none = explain_rows(moved.project, account, rows, [], (moved.models["2"], "2"))
    assert [sentence[:35] for sentence in none.warnings] == [
        "No score of 2025-03-15 was issued f",
        "No score of 2025-05-01 was issued f",
    ]
    assert "nearest" not in "".join(none.warnings)


def test_rows_that_came_late_are_a_part_of_their_own(moved) -> None:
    lost = {"usage_28d": np.nan, "usage_change": np.nan, "active_days_28d": np.nan}
    ends = ((EARLIER, "1"), (LATEST, "2"))
    # One whose scores are clear of 0 and 100, where nothing can be seen of a loss.
    account = next(
        one
        for one in moved.accounts
        if all(20 < moved.score(one, day, version) < 80 for day, version in ends)
    )
    told = moved.explained(account, EARLIER, LATEST, **lost)
    old, new = (
        Scorer(moved.models[version])
        .score(moved.row(account, day).assign(**lost))
        .table["score"]
        .iloc[0]
        for day, version in ends
    )
    revised = {p.label: p.points for p in told.move.parts if p.kind == "revised"}
    assert revised == pytest.approx(
        {
            "Data or settings of 2025-03-15 revised since": old - told.start.score,
            "Data or settings of 2025-07-01 revised since": told.end.score - new,
        },
        abs=1e-9,
    )
    assert min(abs(points) for points in revised.values()) > 0.01
    assert_exact(told)
    assert any("Data or settings of 2025-03-15" in line for line in shown(told))


def test_hostile_names_are_printed_harmless_and_answered_intact(moved, hostile_ids) -> None:
    here = [account for account in moved.accounts if account in hostile_ids.values()]
    assert here
    for account in here:
        told = moved.explained(account, EARLIER, LATEST)
        assert told.to_dict()["account_id"] == account
        text = "\n".join(shown(told))
        assert not [c for c in text if c != "\n" and not c.isprintable()]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("account", "since", "as_of", "sentence"),
    [
        (
            "A-00005",
            LATEST,
            None,
            "Option --since must name a date before 2025-07-01, up to which the move is explained,"
            " and names 2025-07-01; choose an earlier one or a later --as-of",
        ),
        (
            "A-00005",
            LATEST,
            EARLIER,
            "Option --since must name a date before 2025-03-15, up to which the move is explained,"
            " and names 2025-07-01; choose an earlier one or a later --as-of",
        ),
        ("A-0002", EARLIER, None, "Account 'A-0002' is not in accounts; did you mean 'A-0"),
        ("\x1b[2J", EARLIER, None, "is not in accounts; check its id in accounts"),
        ("A-00005", date(2019, 1, 1), None, "Date 2019-01-01 lies before the data, which start on"),
        ("A-00005", EARLIER, date(2026, 1, 1), "lies more than 7 days after the data"),
    ],
)
def test_impossible_questions_are_one_sentence(moved, account, since, as_of, sentence) -> None:
    with pytest.raises(HealthscoreError) as caught:
        explain_move(moved.project, account, since, as_of)
    assert sentence in str(caught.value)


def test_an_account_that_was_not_there_yet_is_told_with_what_is_known(moved) -> None:
    frame = moved.frame
    first = frame.groupby("account_id")["observation_date"].min()
    late = first[first == pd.Timestamp(LATEST)].index[0]
    with pytest.raises(DataError) as caught:
        moved.explained(late, EARLIER, LATEST)
    assert str(caught.value) == (
        f"Account '{late}' was not active on 2025-03-15; choose a date on which a subscription of"
        " it was running (it was active on 2025-07-01, and its issued scores are of 2025-07-01)"
    )


def test_signals_that_a_model_needs_and_the_tables_no_longer_give(moved) -> None:
    account, day = moved.accounts[0], EARLIER
    rows = {
        day: moved.row(account, day).drop(columns=["usage_28d", "nps_last"], errors="ignore")
        for day in (EARLIER, LATEST)
    }
    history = issued_scores(moved.project, account)
    with pytest.raises(DataError) as caught:
        explain_rows(moved.project, account, rows, history, (moved.models["2"], "2"))
    assert str(caught.value).startswith(
        f"Model version '1', by which the score of {day} is told, needs the signals 'usage_28d'"
    )
    assert str(caught.value).endswith(
        ", which the configuration no longer gives; map their tables and columns again or choose a"
        " date scored by a newer model"
    )


def test_a_model_that_is_gone(moved, tmp_path) -> None:
    folder = Path(shutil.copytree(moved.project.folder, tmp_path / "project"))
    project = load_project(folder / "healthscore.toml")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    client.delete_model_version("healthscore", "1")
    account = moved.accounts[0]
    rows = {day: moved.row(account, day) for day in (EARLIER, LATEST)}
    with pytest.raises(RegistryError, match="Version '1' of 'healthscore' is not in the registry"):
        explain_rows(
            project, account, rows, issued_scores(project, account), (moved.models["2"], "2")
        )
