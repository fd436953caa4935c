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

POINT_COLUMNS = tuple(f"points_{group}" for group in GROUPS)

_SCORES = f"""
create table if not exists scores (
    account_id varchar not null, as_of date not null, segment varchar not null,
    score double not null, band varchar not null, churn_probability double not null,
    coverage double not null, baseline_score double not null,
    {", ".join(f"{column} double not null" for column in POINT_COLUMNS)},
    mrr double, model_version varchar not null, issued_at timestamp not null,
    primary key (account_id, as_of, model_version)
)"""
_REASONS = """
create table if not exists score_reasons (
    account_id varchar not null, as_of date not null, model_version varchar not null,
    rank tinyint not null, signal varchar not null, signal_group varchar not null,
    value varchar, points double not null,
    primary key (account_id, as_of, model_version, rank)
)"""


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


def write_scores(
    file: Path, scores: pd.DataFrame, reasons: pd.DataFrame, *, as_of: date, model_version: str
) -> int:
    """Issue the scores of one date and model, once.

    Parameters
    ----------
    file : Path
        The store; made when it does not exist.
    scores : DataFrame
        Columns of table ``scores`` except ``as_of``, ``model_version`` and ``issued_at``.
    reasons : DataFrame
        Columns of table ``score_reasons`` except ``as_of`` and ``model_version``.
    as_of : date
        Date the scores speak of.
    model_version : str
        Version of the model that made them.

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
    explained = reasons.assign(as_of=as_of, model_version=model_version)
    stamped = scores.assign(as_of=as_of, model_version=model_version, issued_at=issued_at)
    if not file.exists():
        _make(file)
    with _open(file, read_only=False) as connection:
        connection.begin()
        connection.execute(_SCORES).fetchall()
        connection.execute(_REASONS).fetchall()
        issued = connection.execute(
            "select 1 from scores where as_of = ? and model_version = ? limit 1",
            [as_of, model_version],
        ).fetchall()
        if issued:
            connection.rollback()
            return 0
        connection.register("stamped", stamped)
        connection.register("explained", explained)
        connection.execute("insert into scores by name select * from stamped").fetchall()
        connection.execute("insert into score_reasons by name select * from explained").fetchall()
        connection.commit()
    return len(scores)


def read_scores(file: Path, as_of: date, model_version: str) -> pd.DataFrame:
    """Read one run.

    Raises
    ------
    StoreError
        When the store does not exist or cannot be opened.
    """
    if not file.exists():
        raise StoreError(
            f"The score store '{file}' does not exist; issue scores with 'healthscore score'"
        )
    with _open(file, read_only=True) as connection:
        return connection.execute(
            "select * from scores where as_of = ? and model_version = ? order by account_id",
            [as_of, model_version],
        ).df()


def read_reasons(
    file: Path, as_of: date, model_version: str, accounts: Sequence[str]
) -> pd.DataFrame:
    """Read the stored reasons of some accounts, in order of rank."""
    with _open(file, read_only=True) as connection:
        return connection.execute(
            "select * from score_reasons where as_of = ? and model_version = ?"
            " and list_contains(?, account_id) order by account_id, rank",
            [as_of, model_version, list(accounts)],
        ).df()
