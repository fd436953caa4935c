"""Changes to stores, made past the program."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from pipelines.project.project import Project
from pipelines.scoring.verify.seals import SealCheck, check_seals
from pipelines.store.opening import open_store


def checked(project: Project, key: bytes | None = None, noted: str | None = None) -> SealCheck:
    """Check the seals of a project's store."""
    with open_store(project, read_only=True) as store:
        return check_seals(store, key, noted)


def sql(project: Project, server: Any, *statements: str) -> None:
    """Run statements in a DuckDB or PostgreSQL store."""
    if server is None:
        with duckdb.connect(project.store_shown) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    from psycopg import sql as quoting

    with open_store(project, read_only=True) as store:
        schema = store.schema  # type: ignore[attr-defined]
    with closing(server.connect()) as connection:
        connection.execute(quoting.SQL("SET search_path TO {}").format(quoting.Identifier(schema)))
        for statement in statements:
            connection.execute(statement.replace("::double", "::double precision"))
        connection.commit()


def run_file(project: Project, version: str, name: str = "_run.json") -> Path:
    """Find a file of a run in a Parquet store."""
    (file,) = Path(project.store_shown).rglob(f"model_version={version}/*/{name}")
    return file


def rewrite_facts(project: Project, version: str, change: Callable[[Any], Any]) -> None:
    """Rewrite ``_run.json`` of a Parquet store."""
    file = run_file(project, version)
    facts = json.loads(file.read_text("utf-8"))
    change(facts)
    file.write_text(json.dumps(facts), "utf-8")


def rewrite_rows(project: Project, version: str, select: str) -> None:
    """Rewrite the rows of a run in a Parquet store by a query over ``rows``."""
    file = run_file(project, version, "scores.parquet")
    rows = pq.ParquetFile(file).read()  # noqa: F841 - the query names it
    with duckdb.connect() as engine:
        changed = engine.sql(select).to_arrow_table()
    pq.write_table(changed, file)
