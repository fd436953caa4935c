"""A company that the manual's commands were run on, and registries that are quick to make."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

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


@pytest.fixture(autouse=True)
def _registries_are_copied(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have MLflow make the tables of a new registry once; it takes seventy migrations."""
    stores = sys.modules.get("mlflow.store.db.utils")
    if stores is None or isinstance(stores._initialize_tables, partial):
        return
    made = tmp_path_factory.mktemp("registry") / "mlflow.db"
    stores._initialize_tables = partial(_copy_tables, stores._initialize_tables, made)


def _copy_tables(make: Callable[[Any], None], made: Path, engine: Any) -> None:
    from sqlalchemy import create_engine

    if engine.url.get_backend_name() != "sqlite":
        make(engine)
        return
    if not made.exists():
        first = create_engine(f"sqlite:///{made}")
        make(first)
        first.dispose()
    connection = engine.raw_connection()
    with closing(connection), closing(sqlite3.connect(made)) as tables:
        tables.backup(connection.driver_connection)
