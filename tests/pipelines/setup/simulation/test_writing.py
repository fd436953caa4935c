"""Simulating into a folder: what is there stays, nothing half-done shows, options are checked."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from features.errors import DataError, SettingsError
from pipelines.setup.simulation import simulate as module
from pipelines.setup.simulation.simulate import Simulation, simulate


def test_progress_reaches_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    seen: list[tuple[int, int]] = []
    simulate(tmp_path / "x", Simulation(accounts=7, months=6), progress=lambda *a: seen.append(a))
    assert seen == [(step, 18) for step in range(1, 19)]


def test_an_interrupted_run_leaves_nothing_new(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "x", Simulation(accounts=3, months=6), progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_keeps_the_earlier_simulation(tmp_path: Path) -> None:
    simulate(tmp_path / "x", Simulation(accounts=3, months=6))
    before = {path: path.read_bytes() for path in (tmp_path / "x").rglob("*.*")}

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "x", Simulation(accounts=9, months=6), progress=interrupt)
    assert {path: path.read_bytes() for path in (tmp_path / "x").rglob("*.*")} == before
    simulate(tmp_path / "x", Simulation(accounts=9, months=6))
    assert len(pd.read_parquet(tmp_path / "x" / "accounts.parquet")) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    simulate(tmp_path, Simulation(accounts=2, months=6))
    assert (tmp_path / "truth" / "weights.json").exists()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda folder: (folder / "thesis.docx").touch(), "'thesis.docx'"),
        (lambda folder: (folder / "truth" / "mine.csv").touch(), "'truth/mine.csv'"),
        (lambda folder: (folder / "truth" / "deep").mkdir(), "'truth/deep/'"),
        (lambda folder: (folder / ".git").mkdir(), "'.git/'"),
        (lambda folder: (folder / "truth" / "weights.json").unlink(), "'accounts.parquet', "),
    ],
)
def test_foreign_files_are_never_replaced(tmp_path: Path, spoil, named: str) -> None:
    folder = tmp_path / "x"
    simulate(folder, Simulation(accounts=2, months=6))
    spoil(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(DataError) as caught:
        simulate(folder, Simulation(accounts=2, months=6))
    message = str(caught.value)
    assert message.startswith(
        f"The folder '{folder}' must be missing, empty or an earlier simulation, but holds {named}"
    )
    assert message.endswith("; choose another folder.")
    assert sorted(folder.rglob("*")) == before


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(DataError, match="but holds a file of that name; choose another folder"):
        simulate(tmp_path / "x", Simulation(accounts=2, months=6))
    with pytest.raises(DataError, match=r"could not be written to '.*y': Not a directory; choose"):
        simulate(tmp_path / "x" / "y", Simulation(accounts=2, months=6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"accounts": 0},
            "The simulation's 'accounts' must be a whole number from 1 to 10000000; got 0.",
        ),
        (
            {"accounts": 2.5},
            "The simulation's 'accounts' must be a whole number from 1 to 10000000; got 2.5.",
        ),
        (
            {"months": 5},
            "The simulation's 'months' must be a whole number from 6 to 240; got 5.",
        ),
        (
            {"seed": -1},
            "The simulation's 'seed' must be a whole number from 0 to 9223372036854775807; got -1.",
        ),
        (
            {"seed": True},
            "The simulation's 'seed' must be a whole number from 0 to 9223372036854775807; "
            "got True.",
        ),
        (
            {"start": date(2024, 1, 15)},
            "The simulation's 'start' must be the first day of a month between 1970 and 2200; "
            "got 2024-01-15.",
        ),
        (
            {"start": date(9999, 1, 1)},
            "The simulation's 'start' must be the first day of a month between 1970 and 2200; "
            "got 9999-01-01.",
        ),
        (
            {"drift": "payment_crisis"},
            "The simulation's 'drift' must be one of none, payment-crisis, usage-collapse; "
            "got 'payment_crisis'; did you mean 'payment-crisis'?",
        ),
        (
            {"drift_from": date(2024, 6, 1)},
            "The simulation's 'drift_from' (2024-06-01) has no meaning while 'drift' is none; "
            "choose payment-crisis or usage-collapse, or leave it out.",
        ),
        (
            {"drift": "usage-collapse", "drift_from": date(2026, 1, 1)},
            "The simulation's 'drift_from' must lie after 2024-01-01 and before 2026-01-01; "
            "got 2026-01-01.",
        ),
        (
            {"drift": "usage-collapse", "drift_from": date(2024, 1, 1)},
            "The simulation's 'drift_from' must lie after 2024-01-01 and before 2026-01-01; "
            "got 2024-01-01.",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        Simulation(**settings)
