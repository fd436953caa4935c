"""The whole way, on a simulated company whose team answers what looks risky."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.plays.effects import kept_report
from pipelines.plays.rows import acted_rows
from pipelines.project.project import Project, load_project
from pipelines.project.rows import labelled_rows
from pipelines.setup.draft import write_draft
from pipelines.setup.simulation.behaviour import PLAYS
from pipelines.setup.simulation.simulate import Simulation, simulate

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("acts")
    simulate(folder / "data", Simulation(accounts=300, months=8, seed=4, team=True))
    write_draft(folder / "data", folder / "healthscore.toml")
    return load_project(folder / "healthscore.toml")


def changed(company: Project, change: Change) -> Project:
    """Change the interventions for as long as the rows are read."""
    file = company.folder / "data" / "interventions.parquet"
    change(pd.read_parquet(file)).to_parquet(file)
    return company


def test_rows_are_those_of_the_dates_and_acts_those_of_the_team(company: Project) -> None:
    found = acted_rows(company)
    acts = pd.read_parquet(company.folder / "data" / "interventions.parquet")
    keys = {
        (who, f"{moment:%Y-%m}-01")
        for who, moment in zip(acts["account_id"], acts["occurred_at"], strict=True)
    }
    rows = found.rows
    dates = rows.days.astype("datetime64[D]").astype(str)
    by_hand = [key in keys for key in zip(rows.accounts, dates, strict=True)]
    assert np.any(list(rows.acted.values()), axis=0).tolist() == by_hand
    assert set(rows.acted) == set(PLAYS)
    # Outcomes open after the lead days, when the team has long answered.
    assert (found.landmark, found.gone_before) == (4, 0)
    # The window of a date is still open when the team answers the next one.
    assert 0 < found.later < (~np.array(by_hand)).sum()
    assert {"acts_30_days", "acts_90_days", "days_since_act"} <= set(rows.inputs)


def test_those_left_alone_judge_a_model(company: Project) -> None:
    rows = labelled_rows(company)
    acted = rows.frame["acted_on"].to_numpy()
    assert 0 < acted.sum() < len(acted) / 2
    assert any("those left alone judge the model" in note for note in rows.notes)


def test_what_was_logged_twice_or_without_a_date_changes_nothing(company: Project) -> None:
    file = company.folder / "data" / "interventions.parquet"
    before, rows = file.read_bytes(), acted_rows(company).rows
    twice = lambda table: pd.concat([table, table.assign(play=table["play"].str.upper())])  # noqa: E731
    undated = lambda table: pd.concat([table, table.head(5).assign(occurred_at=pd.NaT)])  # noqa: E731
    try:
        for change in (twice, undated):
            after = acted_rows(changed(company, change)).rows
            assert {p: a.sum() for p, a in after.acted.items()} == {
                p: a.sum() for p, a in rows.acted.items()
            }
            file.write_bytes(before)
    finally:
        file.write_bytes(before)


def test_the_command_writes_a_page_and_keeps_its_reading(company: Project, run) -> None:
    ran = run("plays", "-c", company.path)
    assert ran.code == 0
    assert "not enough to compare, 19 of 919 rows on which nobody acted churned" in ran.out
    page: Path = company.folder / "plays.html"
    assert "Does acting help?" in page.read_text(encoding="utf-8")
    kept = kept_report(company)
    assert kept is not None
    assert {play.play for play in kept.plays} == set(PLAYS)
    assert kept.rows == len(acted_rows(company).rows.happened)
    assert "No reading was made yet" not in ran.out
