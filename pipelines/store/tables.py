"""The tables of a score store in SQL, alike in DuckDB and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from features.errors import StoreError, sample
from pipelines.store.schema import SCORE_SCHEMA

if TYPE_CHECKING:
    from pipelines.store.opening import Run

STORE_VERSION = 3
"""Form of the store: 1 knew one outcome, 2 knew outcomes, 3 knows runs and their revisions."""
BEFORE_OUTCOMES, BEFORE_RUNS = 1, 2
SCORE_COLUMNS = ", ".join(SCORE_SCHEMA.names)
_NAMES = "healthscore_store runs signal_groups score_rows scores score_reasons newest_runs"
_NAMES += " latest_scores"

RUNS = """
create table runs (
    run_id bigint primary key, outcome {text} not null, as_of date not null,
    model_version {text} not null, revision integer not null, issued_at timestamp not null,
    rows bigint not null, facts text not null,
    unique (outcome, as_of, model_version, revision)
)"""
NEWEST_RUNS = """
create view newest_runs as
select distinct on (outcome, as_of, model_version) * from runs
order by outcome, as_of, model_version, revision desc"""


def tables(text: str, key: str = "") -> list[str]:
    """Return the statements that make the tables and views of a store.

    Parameters
    ----------
    text : str
        Type of names, which must sort by their bytes.
    key : str
        Further constraint of the rows; an index costs more than it brings where columns are
        scanned.
    """

    def kind(of: pa.DataType) -> str:
        if pa.types.is_list(of):
            return f"{kind(of.value_type)}[]"
        return "double precision" if of == pa.float64() else "text"

    columns = [
        f"{field.name} {text if field.name == 'account_id' else kind(field.type)}"
        + ("" if field.nullable else " not null")
        for field in SCORE_SCHEMA
    ]
    return [
        "create table healthscore_store (version integer not null)",
        f"insert into healthscore_store values ({STORE_VERSION})",
        "create sequence run_ids",
        RUNS.format(text=text),
        "create table signal_groups (run_id bigint not null, signal text not null,"
        " signal_group text not null, primary key (run_id, signal))",
        f"create table score_rows (run_id bigint not null, {', '.join(columns)}{key})",
        NEWEST_RUNS,
        _scores("scores", "newest_runs"),
        _scores(
            "latest_scores",
            "(select distinct on (outcome) * from newest_runs"
            " order by outcome, as_of desc, issued_at desc, run_id desc)",
        ),
        """
create view score_reasons as
select outcome, account_id, as_of, model_version, rank, signal, signal_group, points, value
from (
    select *, generate_subscripts(reason_signals, 1) as rank, unnest(reason_signals) as signal,
        unnest(reason_points) as points, unnest(reason_values) as value
    from newest_runs join score_rows using (run_id)
) as reasons join signal_groups using (run_id, signal)""",
    ]


def _scores(name: str, runs: str) -> str:
    return (
        f"create view {name} as select outcome, as_of, model_version, revision, issued_at,"
        f" {SCORE_COLUMNS} from {runs} as issued join score_rows using (run_id)"
    )


def rows_of(run: Run) -> tuple[str, list[object]]:
    """Name the rows of one revision, and the parameters of that query."""
    key = run.key
    return (
        "select * from score_rows where run_id = (select run_id from runs where outcome = ?"
        " and as_of = ? and model_version = ? and revision = ?)",
        [key.outcome, key.as_of, key.model_version, run.revision],
    )


def version_of(ask: Callable[[str], Iterable[tuple[object, ...]]], shown: str) -> int:
    """Tell the form of the store, 0 where there is none.

    Parameters
    ----------
    ask : callable
        Answers a query with its rows.
    shown : str
        Where the store is, as it may be printed.

    Raises
    ------
    StoreError
        When a later version wrote the store, or somebody else's tables bear its names.
    """
    listed = "'" + "', '".join(_NAMES.split()) + "'"
    columns: dict[str, set[str]] = {}
    for table, column in ask(
        "select table_name, column_name from information_schema.columns"
        f" where table_schema = current_schema() and table_name in ({listed})"
    ):
        columns.setdefault(str(table), set()).add(str(column))
    if not columns:
        return 0
    if columns.get("healthscore_store") == {"version"}:
        ((version,),) = ask("select max(version) from healthscore_store")
        return refuse_later(version, shown)
    before = {"account_id", "segment", "baseline_score", "model_version", "issued_at"}
    if set(columns) == {"scores", "score_reasons"} and before <= columns["scores"]:
        return BEFORE_RUNS if "outcome" in columns["scores"] else BEFORE_OUTCOMES
    raise StoreError(
        f"The score store '{shown}' holds {sample(sorted(columns))}, which healthscore did not"
        " make; set another [store] url"
    )


def refuse_later(version: object, shown: str) -> int:
    """Return the form of a store, unless a later version of the program wrote it.

    Raises
    ------
    StoreError
        When it did.
    """
    if not isinstance(version, int) or version > STORE_VERSION:
        raise StoreError(
            f"The score store '{shown}' has form {version}, of a later version of healthscore than"
            f" this one, which knows forms up to {STORE_VERSION}; install that version"
        )
    return version
