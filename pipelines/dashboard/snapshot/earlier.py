"""Earlier runs beside a snapshot: what each account was, what moved it, and who is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from features.catalog import GROUPS
from pipelines.dashboard.snapshot.engine import fill
from pipelines.dashboard.snapshot.schema import EARLIER, MONTHS
from pipelines.store.issued import runs_before
from pipelines.store.schema import POINT_COLUMNS

if TYPE_CHECKING:
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run, RunKey

DATES = 6
"""So many dates before the run are drawn beside an account."""
BASELINE = "baseline"
"""Stands in place of a group where the segment or the model moved a score, not what was done."""
_BEFORE = (
    "account_id",
    "segment",
    "score",
    "band",
    "probability",
    "baseline_score",
    *POINT_COLUMNS,
    "mrr",
)

_PAST = ("account_id", "score", "band", "mrr")


@dataclass(frozen=True)
class Earlier:
    """The runs before one, copied.

    Parameters
    ----------
    run : Run or None
        The last one of an earlier date; None where there is none.
    tables : tuple of str
        Tables of ``account_id``, ``score``, ``band`` and ``mrr``, a date each, the earliest first.
    runs : tuple of Run
        The run of each table.
    known : tuple of (RunKey, int)
        Every run before it that counts, with its revision.
    """

    run: Run | None
    tables: tuple[str, ...]
    runs: tuple[Run, ...] = ()
    known: tuple[tuple[RunKey, int], ...] = ()


def copy_earlier(engine: duckdb.DuckDBPyConnection, store: ScoreStore, run: Run) -> Earlier:
    """Copy the run of the date before, and the scores of some dates before that.

    Of several runs of a date the one that was issued last counts.

    Parameters
    ----------
    engine : DuckDBPyConnection
        Where they go.
    store : ScoreStore
        An open store.
    run : Run
        The run of the snapshot.
    """
    known = earlier_runs(store, run)
    runs = runs_before(store, run)[-DATES:]
    for number, one in enumerate(runs[:-1]):
        fill(engine, f"past_{number}", store.scores(one, columns=_PAST))
    if runs:
        fill(engine, "earlier", store.scores(runs[-1], columns=_BEFORE))
    tables = tuple(f"past_{number}" for number in range(len(runs) - 1))
    tables = (*tables, *(["earlier"] if runs else []))
    return Earlier(runs[-1] if runs else None, tables, tuple(runs), known)


def earlier_runs(store: ScoreStore, run: Run) -> tuple[tuple[RunKey, int], ...]:
    """Name every run before one that counts: what is told of changes holds as long as these do."""
    return tuple((one.key, one.revision) for one in runs_before(store, run))


def sum_up_books(engine: duckdb.DuckDBPyConnection, earlier: Earlier, run: Run) -> None:
    """Sum up each date by owner and band in the table ``books``: few rows, however many accounts.

    Accounts belong to whoever looks after them today, on every date; those that are no longer
    scored count as long as the accounts table has them.

    Parameters
    ----------
    engine : DuckDBPyConnection
        Where ``joined``, ``described`` and the tables of :func:`copy_earlier` are.
    earlier : Earlier
        What was copied.
    run : Run
        The run of ``joined``.
    """
    engine.execute(
        "create table books (owner text, as_of date, model_version text, issued_at timestamp,"
        " band text, accounts bigint, mrr double, score double)"
    ).fetchall()
    described = "(select distinct on (account_id) account_id, owner from described) as described"
    for table, one in zip((*earlier.tables, "joined"), (*earlier.runs, run), strict=True):
        joined = "" if table == "joined" else f" join {described} using (account_id)"
        engine.execute(
            "insert into books select owner, ?, ?, ?, band, count(*), sum(mrr), sum(score)"
            f" from {table}{joined} where owner is not null group by owner, band",
            [one.key.as_of, one.key.model_version, one.issued_at],
        ).fetchall()


def join_earlier(engine: duckdb.DuckDBPyConnection, earlier: Earlier, first: str) -> None:
    """Add to the table ``joined`` what each account was, and list who is gone in ``gone``.

    Parameters
    ----------
    engine : DuckDBPyConnection
        Where ``joined``, ``described`` and the tables of :func:`copy_earlier` are; the latter are
        dropped.
    earlier : Earlier
        What was copied.
    first : str
        The column of ``joined`` that numbers its rows.
    """
    if earlier.run is None:
        columns = ", ".join(f"{kind} as {name}" for name, kind in _nothing().items())
        engine.execute(f"create table older as select {columns} from joined").fetchall()
        columns = "account_id, name, owner, segment, band, score, probability, arr, stake"
        engine.execute(f"create table gone as select {columns} from joined limit 0").fetchall()
    else:
        _moved(engine, first)
        _gone(engine)
    for table in earlier.tables:
        # One at a time: a join of all of them would not fit the memory.
        engine.execute(
            f"create table aside as select {table}.score as {table} from joined"
            f" left join {table} using (account_id) order by {first}"
        ).fetchall()
        engine.execute(f"drop table {table}").fetchall()
        engine.execute(f"alter table aside rename to aside_{table}").fetchall()
    listed = ", ".join(f"aside_{table}.{table}" for table in earlier.tables)
    beside = " ".join(f"positional join aside_{table}" for table in earlier.tables)
    engine.execute(
        f"create table fuller as select joined.*, older.*, [{listed}]::float[] as past"
        f" from joined positional join older {beside}"
    ).fetchall()
    for table in ("joined", "older", *(f"aside_{table}" for table in earlier.tables)):
        engine.execute(f"drop table {table}").fetchall()
    engine.execute("alter table fuller rename to joined").fetchall()


def _nothing() -> dict[str, str]:
    numbers = (*(name for name in EARLIER if name != "band_before"), "change", "moved_points")
    texts = ("band_before", "moved_group")
    return {**dict.fromkeys(numbers, "null::double"), **dict.fromkeys(texts, "null::text")}


def _moved(engine: duckdb.DuckDBPyConnection, first: str) -> None:
    """Say what each account was, and which group moved its score most in the way it went."""
    parts = {str(group): f"joined.points_{group} - earlier.points_{group}" for group in GROUPS}
    parts[BASELINE] = "joined.baseline_score - earlier.baseline_score"
    each = ", ".join(f"{part} as d_{group}" for group, part in parts.items())
    named = " ".join(f"when d_{group} = moved_points then '{group}'" for group in parts)
    names = ", ".join(f"d_{group}" for group in parts)
    engine.execute(
        f"create table older as select {', '.join(EARLIER)}, change,"
        f" case {named} end as moved_group, moved_points from ("
        f"select *, case when change < 0 then least({names}) when change > 0 then"
        f" greatest({names}) end as moved_points from ("
        "select earlier.score as score_before, earlier.band as band_before,"
        f" earlier.probability as probability_before, {MONTHS} * earlier.mrr as arr_before,"
        f" earlier.probability * {MONTHS} * earlier.mrr as stake_before,"
        f" joined.score - earlier.score as change, {first}, {each}"
        f" from joined left join earlier using (account_id))) order by {first}"
    ).fetchall()


def _gone(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute(
        "create table gone as select earlier.account_id, name, owner, segment, band, score,"
        f" probability, {MONTHS} * mrr as arr, probability * {MONTHS} * mrr as stake from earlier"
        " left join (select distinct on (account_id) * from described) as described"
        " using (account_id) where account_id not in (select account_id from joined)"
        " order by account_id"
    ).fetchall()
