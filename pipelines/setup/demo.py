"""The whole way on a simulated company: history, champion, scores, and where all of it lies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from features.errors import SettingsError
from pipelines.portfolio.portfolio import Portfolio, portfolio
from pipelines.project.project import FILE_NAME, load_project
from pipelines.reports.terminal.progress import show_progress
from pipelines.scoring.score import Issued, score_accounts
from pipelines.setup.draft import write_draft
from pipelines.training.train import Trained, train


@dataclass(frozen=True)
class Demonstrated:
    """What the demo made."""

    folder: Path
    registry: Path
    rows: dict[str, int]
    trained: Trained
    issued: Issued
    summed: Portfolio


def run_demo(
    folder: Path, *, registry: Path | None, accounts: int, months: int, seed: int
) -> Demonstrated:
    """Simulate a company, draft its configuration as for any stranger's, train, score twice.

    Parameters
    ----------
    folder : Path
        Where everything goes; a demo that is there already is replaced.
    registry : Path or None
        Folder for models; beside the configuration when None.
    accounts, months, seed : int
        Size and seed of the simulated company.

    Raises
    ------
    SettingsError
        When the folder holds a configuration or scores that no demo made.
    """
    from pipelines.setup.simulation.simulate import Simulation, simulate

    company = Simulation(accounts=accounts, months=months, seed=seed)
    config, store = folder / FILE_NAME, folder / "scores.duckdb"
    _refuse_foreign(folder, config, store)
    with show_progress("Simulate") as step:
        rows = simulate(
            folder / "data",
            company,
            progress=lambda done, total: step("accounts", done, total),
        )
    store.unlink(missing_ok=True)
    write_draft(folder / "data", config, registry=registry, force=True)
    _end_on_purpose(config)
    trained = train(load_project(config))
    project = load_project(config)
    # What changed since the month before is the first question of every later one.
    score_accounts(project, (company.end - timedelta(days=1)).replace(day=1))
    issued = score_accounts(project, None)
    return Demonstrated(
        folder, project.registry_folder, rows, trained, issued, portfolio(project, issued)
    )


def _end_on_purpose(config: Path) -> None:
    """Name the end of the data: nobody loads more of them, and no feed has stopped for that."""
    drafted = config.read_text(encoding="utf-8")
    config.write_text(drafted.replace("\n# data_end = ", "\ndata_end = ", 1), encoding="utf-8")


def _refuse_foreign(folder: Path, *ours: Path) -> None:
    made_before = (folder / "data" / "truth" / "weights.json").exists()
    existing = [file for file in ours if file.exists()]
    if existing and not made_before:
        raise SettingsError(
            f"The folder '{folder}' must be missing, empty or an earlier demo, but holds"
            f" '{existing[0].name}'; choose another with --folder"
        )


def where_it_lies(demonstrated: Demonstrated) -> list[str]:
    """List what the demo left behind, one line each, and the next commands."""
    folder = Path(os.path.relpath(demonstrated.folder))
    config = folder / FILE_NAME
    first = demonstrated.summed.calls[0].account_id if demonstrated.summed.calls else "ACCOUNT"
    return [
        f"Source tables      {folder / 'data'}  ({sum(demonstrated.rows.values()):,} rows)",
        f"True weights       {folder / 'data' / 'truth'}",
        f"Configuration      {config}",
        f"Issued scores      {folder / 'scores.duckdb'}",
        f"Models and plots   {os.path.relpath(demonstrated.registry)}",
        f"Next: healthscore explain {first} -c {config}",
        f"      healthscore check -c {config}",
    ]
