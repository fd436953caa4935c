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
from pipelines.store.schema import SCORE_SCHEMA, SMALL_DECIMALS, SMALL_SCHEMA


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


def as_before_parts() -> list[str]:
    """Return what makes a store in PostgreSQL as it was before numbers had a small form.

    The views of scores go with it: whoever writes such a store next makes them anew.
    """
    shown = [
        name for name in SCORE_SCHEMA.names if name in SMALL_DECIMALS or name.startswith("reason_")
    ]
    small = [name for name in SMALL_SCHEMA.names if name not in SCORE_SCHEMA.names]
    return [
        "create table shown as select * from issued_rows",
        "drop view scores, latest_scores, score_reasons, issued_rows",
        *(
            f"update score_rows set {name} = shown.{name} from shown"
            f" where (shown.run_id, shown.account_id) = (score_rows.run_id, score_rows.account_id)"
            for name in shown
        ),
        "drop table shown",
        "drop table run_signals",
        *(f"alter table score_rows drop column {name}" for name in small),
        *(
            f"alter table score_rows alter {name} set not null"
            for name in shown
            if not SCORE_SCHEMA.field(name).nullable
        ),
    ]
