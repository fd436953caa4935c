"""Taking a snapshot: a run from the store, with attributes, and numbered in each order."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from features.errors import DataError, HealthscoreError, RegistryError, StoreError, first_line
from models.scoring.scale import BANDS, GOOD_BANDS
from pipelines.dashboard.access.notes import Note, note_of
from pipelines.dashboard.snapshot.attributes import account_attributes
from pipelines.dashboard.snapshot.calls import name_facts
from pipelines.dashboard.snapshot.earlier import Earlier, copy_earlier, join_earlier, sum_up_books
from pipelines.dashboard.snapshot.engine import fill
from pipelines.dashboard.snapshot.schema import (
    FIXED,
    MONTHS,
    RENEWAL,
    SCORED,
    SORTED,
    Attribute,
    place_in,
    stored_as,
)
from pipelines.dashboard.snapshot.snapshot import Contents, Snapshot
from pipelines.project.project import Project
from pipelines.store.base import ScoreStore
from pipelines.store.issued import reasons_note
from pipelines.store.runs import Run, now

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel

BARE_SCHEMA = pa.schema(
    [
        ("account_id", pa.string()),
        *((name, pa.string()) for name in FIXED),
        (RENEWAL, pa.date32()),
    ]
)


def take(
    project: Project, store: ScoreStore, run: Run, memory: str, owner: str | None, folder: Path
) -> Snapshot:
    """Copy a run into a file of its own, in bounded memory.

    Parameters
    ----------
    project : Project
        The configuration, of the run's outcome.
    store : ScoreStore
        An open store, which is read once.
    run : Run
        One of its runs.
    memory : str
        Most that the engine may hold.
    owner : str or None
        Column of the accounts table that names who looks after an account.
    folder : Path
        Where the file goes. On systems that allow it the file has no name any more as soon as it
        is open, so that nothing is left of it whatever ends the panel.

    Raises
    ------
    StoreError
        When the store cannot be read, or the folder is full.
    """
    file = folder / f"{secrets.token_hex(8)}.duckdb"
    try:
        with _engine(file, memory) as engine:
            fill(engine, "scores", store.scores(run, columns=SCORED))
            history = store.portfolio_history(run.key.outcome).to_pylist()
            earlier = copy_earlier(engine, store, run)
            erasures = store.erasures()
            erased = tuple(dict.fromkeys(one.tombstone for one in erasures))
            let_go = reasons_note(erasures, run)
            store.close()
            attributes, notes = _copy_attributes(engine, project, owner, run)
            known = _number(engine, attributes, earlier, run)
            sums = engine.execute("select sum(arr), sum(stake) from accounts").fetchall()[0]
            notes += name_facts(engine, project, run, has_money=known["arr"] > 0)
        opened = duckdb.connect(
            str(file), read_only=True, config={"memory_limit": memory, "threads": 1}
        )
        opened.execute("set lock_configuration = true").fetchall()
    except duckdb.Error as error:
        raise StoreError(
            f"The scores could not be copied for the panel: {first_line(error)}; free the disk of"
            f" '{folder}' or raise [serve] memory"
        ) from error
    finally:
        with suppress(OSError):
            os.unlink(file)
    model, foretells, spread, more = _model_of(project, run)
    return Snapshot(
        opened,
        Contents(
            run=run,
            taken_at=now(),
            attributes=attributes,
            known=known,
            history=history,
            model=model,
            foretells=foretells,
            spread=spread,
            notes=(*([Note(let_go)] if let_go else []), *notes, *more),
            let_go=let_go,
            sums=sums,
            first_band=(GOOD_BANDS if project.settings.outcome.is_good else BANDS)[0],
            since=earlier.run,
            earlier=earlier.known,
            erased=erased,
        ),
    )


@contextmanager
def _engine(file: Path, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    scratch = str(file.with_suffix(".spill"))
    config: dict[str, Any] = {"memory_limit": memory, "threads": 1, "temp_directory": scratch}
    with duckdb.connect(str(file), config=config) as engine:
        yield engine


def _copy_attributes(
    engine: duckdb.DuckDBPyConnection, project: Project, owner: str | None, run: Run
) -> tuple[tuple[Attribute, ...], list[Note]]:
    """Copy what the accounts table says; where it cannot be read, scores are shown without."""
    try:
        with account_attributes(project, owner, run.key.as_of) as described:
            first = next(described.batches, None)
            if first is None:
                raise DataError("The accounts table is empty")
            fill(engine, "described", _with(first, described.batches), first.schema)
            return described.attributes, []
    except HealthscoreError as error:
        engine.execute("drop table if exists described").fetchall()
        fill(engine, "described", [], BARE_SCHEMA)
        return (), [note_of(error, "Names, owners and attributes of accounts are not shown")]


def _with(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _number(
    engine: duckdb.DuckDBPyConnection,
    attributes: Iterable[Attribute],
    earlier: Earlier,
    run: Run,
) -> dict[str, int]:
    """Join both tables and number the accounts in each order; return how many are known in each.

    What is not known comes last.
    """
    columns = [*SORTED, *(one.stored for one in attributes)]
    own = "described.* exclude (account_id)"
    engine.execute(
        f"create table joined as select scores.*, {own}, {MONTHS} * mrr as arr,"
        f" probability * {MONTHS} * mrr as stake, hash(account_id) as account_hash,"
        " strip_accents(lower(account_id || chr(10) || coalesce(name, '')"
        " || chr(10) || coalesce(owner, ''))) as found_by,"
        f" (row_number() over (order by account_id))::integer as {place_in('account_id')}"
        " from scores left join (select distinct on (account_id) * from described) as described"
        " using (account_id) order by account_id"
    ).fetchall()
    engine.execute("drop table scores").fetchall()
    first = place_in("account_id")
    sum_up_books(engine, earlier, run)
    join_earlier(engine, earlier, first)
    engine.execute(
        "create table others as select distinct on (account_id) account_id, name, owner from"
        " described where account_id not in (select account_id from joined)"
    ).fetchall()
    engine.execute("drop table described").fetchall()
    for column in columns[1:]:
        engine.execute(
            f"create table {place_in(column)} as select"
            f" (row_number() over (order by {column} nulls last, {first}))::integer"
            f" as {place_in(column)} from joined order by {first}"
        ).fetchall()
    beside = " ".join(f"positional join {place_in(column)}" for column in columns[1:])
    described = engine.execute(f"describe select * from joined {beside}").fetchall()
    stored = [(name, *stored_as(name, kind)) for name, kind, *_ in described]
    types = ", ".join(f"{name} {kind}" for name, _, kind in stored)
    engine.execute(f"create table accounts ({types})").fetchall()
    held = ", ".join(expression for _, expression, _ in stored)
    engine.execute(f"insert into accounts select {held} from joined {beside}").fetchall()
    for table in ("joined", *(place_in(column) for column in columns[1:])):
        engine.execute(f"drop table {table}").fetchall()
    counted = ", ".join(f"count({column})" for column in columns)
    row = engine.execute(f"select {counted} from accounts").fetchall()[0]
    return dict(zip(columns, row, strict=True))


def _model_of(
    project: Project, run: Run
) -> tuple[HealthModel | None, bool, float | None, list[Note]]:
    """Load what made the scores; without it pages show fewer words, and say so."""
    try:
        champion = project.registry.version(run.key.model_version)
        record = project.registry.record(champion.version)
    except RegistryError as error:
        note = note_of(error, "What became of such accounts before is not shown")
        return None, False, None, [note]
    return champion.model, champion.foretells, record.spread, []
