"""A small company that the manual's commands were run on, for whatever reads the manual."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.conftest import (  # noqa: F401
    Once,
    Project,
    Run,
    _own_registry,
    once,
    run,
)

# Few tables, dates and churns: what takes long here is planning signals, not reading rows.
LEFT_OUT = ("invoices", "referrals", "surveys", "trainings", "ratings", "interventions")
SEGMENTS = 'columns = ["plan"]\nmin_rows = 100\nmin_positives = 10'


@pytest.fixture(scope="session")
def walked(run: Run, once: Once) -> Project:  # noqa: F811
    """A company after ``init`` and ``train``, as the tutorials have it; nobody writes into it."""

    def walk(folder: Path) -> list[object]:
        tables, config = folder / "my_tables", folder / "healthscore.toml"
        size = ("--accounts", 300, "--months", 9, "--json")
        run("simulate", tables, *size).answer  # noqa: B018
        for name in LEFT_OUT:
            (tables / f"{name}.parquet").unlink(missing_ok=True)
        run("init", tables, "-c", config, "--json").answer  # noqa: B018
        drafted = config.read_text("utf-8")
        written = drafted.replace('columns = ["plan"]', SEGMENTS).replace(
            "# trials = 60", "trials = 1"
        )
        assert written.count("= 1") > drafted.count("= 1")
        config.write_text(written, encoding="utf-8")
        trained = run("train", "-c", config, "--json")
        return [trained.answer, trained.err]

    folder, told = once("walked", walk)
    return Project(folder, folder / "healthscore.toml", *told)
