"""Random changes to stores and to a model's files, made past the program, and whether they show."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import HealthscoreError
from models.scoring.health_model import HealthModel
from pipelines.project.project import Project
from pipelines.scoring.verify.seals import verify_store
from pipelines.store.opening import open_store

NUMBERS = ("score", "probability", "coverage", "baseline_score", "points_usage", "mrr")
TEXTS = ("account_id", "segment", "band", "grade")
SEALS = ("seal_before", "rows_digest", "digest", "seal")
Execute = Callable[[str], None]


def is_noticed(project: Project, noted: str) -> bool:
    """Whether the seals of a store show that it was changed."""
    try:
        return not verify_store(project, noted).same
    except HealthscoreError:
        return True


def random_statement(random: Random, run: int, account: str) -> str:
    """Draw a change of a store in SQL."""
    row = f"run_id = {run} and account_id = '{account}'"
    number, text = random.choice(NUMBERS), random.choice(TEXTS)
    return random.choice(
        [
            f"update score_rows set {number} = coalesce({number}, 0) + {random.uniform(1e-6, 9)}"
            f" where {row}",
            f"update score_rows set {number} = cast('nan' as double precision) where {row}",
            f"update score_rows set {text} = {text} || 'x' where {row}",
            f"delete from score_rows where {row}",
            f"delete from score_rows where run_id = {run}",
            f"update runs set rows = rows + {random.randint(1, 9)} where run_id = {run}",
            f"update runs set issued_at = issued_at + interval '{random.randint(1, 999)} second'"
            f" where run_id = {run}",
            f"update runs set facts = '{{}}' where run_id = {run}",
            f"delete from runs where run_id = {run}",
            f"delete from signal_groups where run_id = {run}",
            f"update run_seals set {random.choice(SEALS)} = 'x' where place = {run}",
            f"delete from run_seals where place = {run}",
        ]
    )


def tamper_duckdb(project: Project, random: Random, noted: str) -> bool:
    """Change a copy of a DuckDB store, which takes the place of the store meanwhile."""
    store = Path(project.store_shown)
    kept = store.with_suffix(".kept")
    shutil.copyfile(store, kept)
    try:
        with duckdb.connect(str(store)) as connection:
            run, account = _any_row(connection.execute, random)
            connection.execute(random_statement(random, run, account)).fetchall()
        return is_noticed(project, noted)
    finally:
        kept.replace(store)


def _any_row(ask: Callable[[str], Any], random: Random) -> tuple[int, str]:
    rows = ask("select run_id, account_id from score_rows order by 1, 2").fetchall()
    run, account = random.choice(rows)
    return int(run), str(account)


def tamper_postgres(project: Project, random: Random, noted: str, server: Any) -> bool:
    """Change a PostgreSQL store and put back what was there."""
    from psycopg import sql

    with open_store(project, read_only=True) as store:
        schema = store.schema  # type: ignore[attr-defined]
    tables = ("score_rows", "runs", "signal_groups", "run_seals")
    with server.connect() as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        for table in tables:
            connection.execute(f"create temp table kept_{table} as select * from {table}")
        run, account = _any_row(connection.execute, random)
        connection.execute(random_statement(random, run, account))
        try:
            return is_noticed(project, noted)
        finally:
            for table in tables:
                connection.execute(f"delete from {table}")
                connection.execute(f"insert into {table} select * from kept_{table}")


def tamper_parquet(project: Project, random: Random, noted: str) -> bool:
    """Change a file of a Parquet store, or take it away, and put it back."""
    folder = Path(project.store_shown)
    file = random.choice(sorted(folder.rglob("*.parquet")) + sorted(folder.rglob("_run.json")))
    before = file.read_bytes()
    try:
        if random.random() < 0.1:
            file.unlink()
        elif file.suffix == ".json":
            _change_facts(file, random)
        elif random.random() < 0.5:
            _flip_byte(file, random)
        else:
            _change_rows(file, random)
        return is_noticed(project, noted)
    finally:
        file.write_bytes(before)


def _change_facts(file: Path, random: Random) -> None:
    facts = json.loads(file.read_text("utf-8"))
    name = random.choice([name for name in facts if name != "version"])
    if name == "seal":
        facts["seal"][random.choice(SEALS)] = "x"
    elif name in ("facts", "groups"):
        facts[name] = {"x": "usage"}
    elif name == "issued_at":
        facts[name] = "2020-01-01T00:00:00"
    else:
        facts[name] = 7 if isinstance(facts[name], int) and facts[name] != 7 else "2020-02-02"
    file.write_text(json.dumps(facts), "utf-8")


def _change_rows(file: Path, random: Random) -> None:
    rows = pq.ParquetFile(file).read()
    place, column = random.randrange(len(rows)), random.choice((*NUMBERS, *TEXTS))
    values, field = rows[column].to_pylist(), rows.schema.field(column)
    kind = Decimal if pa.types.is_decimal(field.type) else float
    is_text = column in TEXTS
    values[place] = f"{values[place]}x" if is_text else (values[place] or kind(0)) + kind("1.5")
    fresh = pa.array(values, field.type)
    changed = rows.set_column(rows.schema.get_field_index(column), field, fresh)
    pq.write_table(changed, file)


def tamper_model(folder: Path, seal: str, random: Random) -> bool:
    """Change a file of a model in a copy, or take it away."""
    copy = folder.with_name("changed")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    try:
        file = random.choice(sorted(path for path in copy.rglob("*") if path.is_file()))
        if random.random() < 0.1:
            file.unlink()
        else:
            _flip_byte(file, random)
        HealthModel.load(copy, seal)
    except HealthscoreError:
        return True
    finally:
        shutil.rmtree(copy)
    return False


def _flip_byte(file: Path, random: Random) -> None:
    content = bytearray(file.read_bytes())
    content[random.randrange(len(content))] ^= random.randint(1, 255)
    file.write_bytes(bytes(content))
