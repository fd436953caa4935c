"""The score store: issued scores in a DuckDB file, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pandas as pd

from features.catalog import GROUPS
from features.errors import StoreError
from features.sources import first_line
from pipelines.score_settings import MAIN

POINT_COLUMNS = tuple(f"points_{group}" for group in GROUPS)

_SCORES = f"""
create table if not exists scores (
    outcome varchar not null, account_id varchar not null, as_of date not null,
    segment varchar not null, score double not null, band varchar not null,
    probability double not null,
    coverage double not null, baseline_score double not null,
    {", ".join(f"{column} double not null" for column in POINT_COLUMNS)},
    mrr double, model_version varchar not null, issued_at timestamp not null,
    primary key (outcome, account_id, as_of, model_version)
)"""
_REASONS = """
create table if not exists score_reasons (
    outcome varchar not null, account_id varchar not null, as_of date not null,
    model_version varchar not null, rank tinyint not null, signal varchar not null,
    signal_group varchar not null,
    value varchar, points double not null,
    primary key (outcome, account_id, as_of, model_version, rank)
)"""
_TABLES = {"scores": _SCORES, "score_reasons": _REASONS}


@contextmanager
def _open(file: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store, turning the engine's complaints into one sentence."""
    try:
        connection = duckdb.connect(str(file), read_only=read_only)
    except duckdb.Error as error:
        raise StoreError(
            f"The score store '{file}' cannot be opened: {first_line(error)}; close the program"
            " that holds it, free the disk or set another [store] file"
        ) from error
    try:
        yield connection
    except duckdb.Error as error:
        raise StoreError(
            f"The score store '{file}' could not be used: {first_line(error)}; what it held is"
            " unchanged, so free the disk or mend the file and run again"
        ) from error
    finally:
        connection.close()


def _make(file: Path) -> None:
    """Make an empty store in one step: a disk that fills up must not leave half a file there."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        duckdb.connect(str(draft)).close()
        if not file.exists():
            os.link(draft, file)
    except (OSError, duckdb.Error) as error:
        raise StoreError(
            f"The score store '{file}' cannot be made: {first_line(error)}; free the disk or set"
            " another [store] file"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _without_outcome(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """List the tables of an earlier form, in which every score was about one outcome."""
    rows = connection.execute(
        "select table_name from information_schema.columns where table_schema = 'main'"
        " and table_name in ('scores', 'score_reasons') group by table_name"
        " having not bool_or(column_name = 'outcome') order by table_name"
    ).fetchall()
    return [name for (name,) in rows]


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables, inside the caller's transaction; carry over those of the earlier form.

    What they held was about the main outcome. A primary key cannot be widened, so the rows move to
    a fresh table.
    """
    earlier = _without_outcome(connection)
    for name in earlier:
        connection.execute(f"alter table {name} rename to {name}_before").fetchall()
    for name, definition in _TABLES.items():
        connection.execute(definition).fetchall()
        if name in earlier:
            connection.execute(
                f"insert into {name} by name select ? as outcome, * from {name}_before",
                [MAIN],
            ).fetchall()
            connection.execute(f"drop table {name}_before").fetchall()


def write_scores(
    file: Path,
    scores: pd.DataFrame,
    reasons: pd.DataFrame,
    *,
    as_of: date,
    model_version: str,
    outcome: str = MAIN,
) -> int:
    """Issue the scores of one outcome, date and model, once.

    A store in its earlier form, without outcomes, is brought up to date in the same transaction.

    Parameters
    ----------
    file : Path
        The store; made when it does not exist.
    scores : DataFrame
        Columns of table ``scores`` except ``outcome``, ``as_of``, ``model_version`` and
        ``issued_at``.
    reasons : DataFrame
        Columns of table ``score_reasons`` except ``outcome``, ``as_of`` and ``model_version``.
    as_of : date
        Date the scores speak of.
    model_version : str
        Version of the model that made them.
    outcome : str
        Name of the outcome they foretell.

    Returns
    -------
    int
        Rows written; 0 when this run had been issued before, which is left as it was.

    Raises
    ------
    StoreError
        When the store is held by another process, or the disk is full.
    """
    issued_at = datetime.now(tz=UTC).replace(tzinfo=None)
    explained = reasons.assign(outcome=outcome, as_of=as_of, model_version=model_version)
    stamped = scores.assign(outcome=outcome, as_of=as_of, model_version=model_version)
    stamped = stamped.assign(issued_at=issued_at)
    if not file.exists():
        _make(file)
    with _open(file, read_only=False) as connection:
        connection.begin()
        _prepare(connection)
        issued = connection.execute(
            "select 1 from scores where outcome = ? and as_of = ? and model_version = ? limit 1",
            [outcome, as_of, model_version],
        ).fetchall()
        if issued:
            connection.commit()
            return 0
        connection.register("stamped", stamped)
        connection.register("explained", explained)
        connection.execute("insert into scores by name select * from stamped").fetchall()
        connection.execute("insert into score_reasons by name select * from explained").fetchall()
        connection.commit()
    return len(scores)


def read_scores(file: Path, as_of: date, model_version: str, outcome: str = MAIN) -> pd.DataFrame:
    """Read one run.

    Raises
    ------
    StoreError
        When the store does not exist, cannot be opened or has its earlier form.
    """
    if not file.exists():
        raise StoreError(
            f"The score store '{file}' does not exist; issue scores with 'healthscore score'"
        )
    with _reading(file) as connection:
        return connection.execute(
            "select * from scores where outcome = ? and as_of = ? and model_version = ?"
            " order by account_id",
            [outcome, as_of, model_version],
        ).df()


def read_reasons(
    file: Path,
    as_of: date,
    model_version: str,
    accounts: Sequence[str],
    outcome: str = MAIN,
) -> pd.DataFrame:
    """Read the stored reasons of some accounts, in order of rank."""
    with _reading(file) as connection:
        return connection.execute(
            "select * from score_reasons where outcome = ? and as_of = ? and model_version = ?"
            " and list_contains(?, account_id) order by account_id, rank",
            [outcome, as_of, model_version, list(accounts)],
        ).df()


@contextmanager
def _reading(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store for reading; reading changes no store, not even one of the earlier form."""
    with _open(file, read_only=True) as connection:
        if _without_outcome(connection):
            raise StoreError(
                f"The score store '{file}' was written before scores had outcomes; run"
                " 'healthscore score' once, which brings it up to date and keeps every score"
            )
        yield connection
