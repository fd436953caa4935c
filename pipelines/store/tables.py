"""The tables of a score store in SQL, and how those of earlier forms become them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import pyarrow as pa

from features.catalog import GROUPS
from features.errors import StoreError, sample
from pipelines.project.settings.score import MAIN
from pipelines.store.schema import (
    ADDED_COLUMNS,
    BETWEEN,
    DECIMALS,
    LISTS,
    NOTHING,
    RANKS,
    SCORE_SCHEMA,
    SHOWN,
    SMALL_DECIMALS,
    SMALL_SCHEMA,
)
from pipelines.store.seals import ERASURE_SCHEMA, SEAL_SCHEMA

if TYPE_CHECKING:
    import duckdb

    from pipelines.store.runs import Run
    from pipelines.store.writer import ErasedRun

STORE_VERSION = 6
"""Form of the store: 1 knew one outcome, 2 outcomes, 3 revisions, 4 seals, 5 curves, 6 parts."""
BEFORE_OUTCOMES, BEFORE_RUNS, BEFORE_SEALS, BEFORE_CURVES, BEFORE_PARTS = 1, 2, 3, 4, 5
GROUPS_SCHEMA = pa.schema([("signal", pa.string()), ("signal_group", pa.string())])
SCORE_COLUMNS = ", ".join(SCORE_SCHEMA.names)
_NAMES = "healthscore_store runs signal_groups score_rows scores score_reasons newest_runs"
_NAMES += " latest_scores run_seals run_signals issued_rows"

RUNS = """
create table runs (
    run_id bigint primary key, outcome {text} not null, as_of date not null,
    model_version {text} not null, revision integer not null, issued_at timestamp not null,
    rows bigint not null, facts text not null,
    unique (outcome, as_of, model_version, revision)
)"""
SEALS = """
create table run_seals (
    place bigint primary key, form integer not null, outcome {text} not null, as_of date not null,
    model_version {text} not null, revision integer not null, unsealed bigint not null,
    seal_before text not null, rows_digest text not null, key_id text not null,
    digest text not null, seal text not null,
    unique (outcome, as_of, model_version, revision)
)"""
ERASURES_TABLE = "run_erasures"
"""A store holds it once something was erased."""
ERASURES = f"""
create table if not exists {ERASURES_TABLE} (
    outcome text not null, as_of date not null, model_version text not null,
    revision integer not null, number integer not null, erased_at timestamp not null,
    tombstone text not null, rows_before text not null, rows_after text not null,
    digest_before text not null, digest_after text not null, key_id text not null,
    seal text not null, unique (outcome, as_of, model_version, revision, number)
)"""
NEWEST_RUNS = """
create view newest_runs as
select distinct on (outcome, as_of, model_version) * from runs
order by outcome, as_of, model_version, revision desc"""

_SQL_OF = {pa.int32(): "integer", pa.int16(): "smallint", pa.string(): "text"}
SIGNALS = (
    "create table run_signals (run_id bigint primary key, signals text[] not null)",
    "alter table score_rows "
    + ", ".join(
        f"add column {field.name} {_SQL_OF[field.type]}"
        for field in SMALL_SCHEMA
        if field.name not in SCORE_SCHEMA.names
    )
    + ", "
    + ", ".join(
        f"alter column {field.name} drop not null"
        for field in SCORE_SCHEMA
        if field.name in SMALL_DECIMALS or (pa.types.is_list(field.type) and not field.nullable)
    ),
)
"""What a store in rows adds to the tables: numbers and reasons that take less room there."""


def small_view() -> str:
    """Return the statement of ``issued_rows``: rows as they were given, however they are held."""
    names = ", ".join(f"signals[reason_{rank}]" for rank in RANKS)
    unit = f"{10 ** DECIMALS['reason_points']}.0::double precision"
    points = ", ".join(f"reason_points_{rank} / {unit}" for rank in RANKS)
    given = {
        "reason_signals": f"array_remove(array[{names}], null)",
        "reason_points": f"array_remove(array[{points}], null)",
        "reason_values": "case when reason_1 is null then '{}' else"
        f" string_to_array(reason_texts, '{BETWEEN}', '{NOTHING}') end",
        **{
            name: f"{name}_small / {10**decimals}.0::double precision"
            for name, decimals in SMALL_DECIMALS.items()
        },
    }
    columns = [
        f"coalesce({field.name}, {given[field.name]}) as {field.name}"
        if field.name in given
        else field.name
        for field in SCORE_SCHEMA
    ]
    return (
        f"create view issued_rows as select run_id, {', '.join(columns)}"
        " from score_rows left join run_signals using (run_id)"
    )


_CARRIED = """
insert into score_rows (run_id, {columns})
select run_id, account_id, segment, score, band,
    '' as grade,
    probability, coverage, baseline_score, {points}, mrr,
    coalesce(reason_signals, []), coalesce(reason_points, []), coalesce(reason_values, []), {none}
from old_scores join runs using (outcome, as_of, model_version)
left join (
    select outcome, account_id, as_of, model_version,
        list(signal order by rank) as reason_signals, list(points order by rank) as reason_points,
        list(value order by rank) as reason_values
    from old_reasons group by all
) using (outcome, account_id, as_of, model_version)
"""


def tables(text: str, key: str = "", *, is_small: bool = False) -> list[str]:
    """Return the statements that make the tables and views of a store.

    Parameters
    ----------
    text : str
        Type of names, which must sort by their bytes.
    key : str
        Further constraint of the rows; an index costs more than it brings where columns are
        scanned.
    is_small : bool
        Whether rows are held as :func:`small_view` shows them, which saves room where they are not
        held by columns.
    """
    held = "issued_rows" if is_small else "score_rows"

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
        *([*SIGNALS, small_view()] if is_small else []),
        NEWEST_RUNS,
        _scores("scores", "newest_runs", held),
        _latest(held),
        SEALS.format(text=text),
        _reasons(held),
    ]


def brought_up(version: int, text: str, *, is_small: bool = False) -> list[str]:
    """Return the statements that bring a store from before seals, curves or parts up to date."""
    held = "issued_rows" if is_small else "score_rows"
    return [
        *([SEALS.format(text=text)] if version <= BEFORE_SEALS else []),
        *(
            f"alter table score_rows add column if not exists {name} double precision"
            for name in ADDED_COLUMNS
        ),
        *([*SIGNALS, small_view()] if is_small else []),
        # A view keeps its columns, for queries of one's own.
        _scores("scores", "newest_runs", held, SCORE_SCHEMA.names),
        _latest(held, SCORE_SCHEMA.names),
        *([_reasons(held)] if is_small else []),
        f"update healthscore_store set version = {STORE_VERSION}",
    ]


def carry_over(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Move every score into the tables of today, inside the caller's transaction.

    Each date and model of an earlier store becomes a run in its first revision; what it was made
    from was not kept and stays unknown. Scores from before there were outcomes were about the main
    one.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A connection to the store, in a transaction.
    version : int
        The form that the store has.
    """
    main = f"'{MAIN}' as outcome, " if version == BEFORE_OUTCOMES else ""
    for name, old in (("scores", "old_scores"), ("score_reasons", "old_reasons")):
        connection.execute(f"create temp table {old} as select {main}* from {name}")
        connection.execute(f"drop table {name}")
    for statement in tables("text"):
        connection.execute(statement)
    connection.execute(
        "insert into runs select nextval('run_ids'), *, '{}' from ("
        " select outcome, as_of, model_version, 1, max(issued_at) as issued_at, count(*)"
        " from old_scores group by outcome, as_of, model_version order by issued_at, as_of)"
    )
    connection.execute(
        "insert into signal_groups select distinct run_id, signal, signal_group"
        " from old_reasons join runs using (outcome, as_of, model_version)"
    )
    points = ", ".join(f"points_{group}" for group in GROUPS)
    none = ", ".join("null" for _ in ADDED_COLUMNS)
    connection.execute(_CARRIED.format(columns=SCORE_COLUMNS, points=points, none=none))
    connection.execute("drop table old_scores")
    connection.execute("drop table old_reasons")


def _reasons(held: str) -> str:
    return f"""
create or replace view score_reasons as
select outcome, account_id, as_of, model_version, rank, signal, signal_group, points, value
from (
    select *, generate_subscripts(reason_signals, 1) as rank, unnest(reason_signals) as signal,
        unnest(reason_points) as points, unnest(reason_values) as value
    from newest_runs join {held} using (run_id)
) as reasons join signal_groups using (run_id, signal)"""


def _latest(held: str, columns: Sequence[str] = SHOWN) -> str:
    # What was issued last has the largest number; a clock may have been set back.
    return _scores(
        "latest_scores",
        "(select distinct on (outcome) * from newest_runs"
        " order by outcome, as_of desc, run_id desc)",
        held,
        columns,
    )


def _scores(name: str, runs: str, held: str, columns: Sequence[str] = SHOWN) -> str:
    return (
        f"create or replace view {name} as"
        f" select outcome, as_of, model_version, revision, issued_at,"
        f" {', '.join(columns)} from {runs} as issued join {held} using (run_id)"
    )


def rows_of(run: Run, held: str = "score_rows") -> tuple[str, list[object]]:
    """Name the rows of one revision, and the parameters of that query."""
    key = run.key
    return (
        f"select * from {held} where run_id = (select run_id from runs where outcome = ?"
        " and as_of = ? and model_version = ? and revision = ?)",
        [key.outcome, key.as_of, key.model_version, run.revision],
    )


def groups_of(run: Run) -> tuple[str, list[object]]:
    """Ask for the signals and groups of one revision, and give the parameters of that query."""
    key = run.key
    return (
        "select signal, signal_group from signal_groups where run_id = (select run_id from runs"
        " where outcome = ? and as_of = ? and model_version = ? and revision = ?)",
        [key.outcome, key.as_of, key.model_version, run.revision],
    )


def groups_in(rows: pa.RecordBatchReader) -> dict[str, str]:
    """Return the answer of :func:`groups_of` as signal to group."""
    return {row["signal"]: row["signal_group"] for row in rows.read_all().to_pylist()}


def insert_seal(mark: str) -> str:
    """Return the statement that keeps a seal, its parameters written with a mark."""
    return f"insert into run_seals values ({', '.join([mark] * len(SEAL_SCHEMA))})"


def erase_statements(mark: str, *, is_small: bool = False) -> tuple[str, str, str, str]:
    """Return the statements that change a row, all reasons, facts, and that keep an erasure."""
    texts = ", reason_texts = null" if is_small else ""
    gone = dict.fromkeys(LISTS, "null" if is_small else "[]")
    if is_small:
        names = (f"reason_{kind}{rank}" for kind in ("", "points_") for rank in RANKS)
        gone |= dict.fromkeys((*names, "reason_texts"), "null")
    run = (
        f"run_id = (select run_id from runs where outcome = {mark} and as_of = {mark}"
        f" and model_version = {mark} and revision = {mark})"
    )
    return (
        f"update score_rows set account_id = {mark}, reason_values = {mark}{texts}"
        f" where {run} and account_id = {mark}",
        f"update score_rows set {', '.join(f'{name} = {none}' for name, none in gone.items())}"
        f" where {run}",
        f"update runs set facts = {mark} where {run}",
        f"insert into {ERASURES_TABLE} values ({', '.join([mark] * len(ERASURE_SCHEMA))})",
    )


def erasing(
    changes: Iterable[ErasedRun], account_id: str | None, marked: tuple[str, str, str, str]
) -> Iterator[tuple[str, list[object]]]:
    """Give each of :func:`erase_statements` with its parameters, for what changes of runs."""
    rows, reasons, facts, kept = marked
    for one in changes:
        run = [*one.erasure.run]
        if one.row is not None:
            yield rows, [one.erasure.tombstone, one.words, *run, account_id]
        if one.is_of_reasons:
            yield reasons, run
        if one.facts != one.run.facts:
            yield facts, [json.dumps(dict(one.facts)), *run]
        yield kept, list(asdict(one.erasure).values())


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
