"""The score store in a DuckDB file."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from features.errors import StoreError, first_line
from pipelines.store.base import ScoreStore
from pipelines.store.runs import AlreadyIssued, EarlierStore, NoStore, Run, RunKey, now, run_row
from pipelines.store.schema import SCORE_SCHEMA
from pipelines.store.tables import (
    BEFORE_SEALS,
    ERASURES,
    GROUPS_SCHEMA,
    SCORE_COLUMNS,
    STORE_VERSION,
    brought_up,
    carry_over,
    erase_statements,
    erasing,
    groups_in,
    groups_of,
    insert_seal,
    rows_of,
    tables,
    version_of,
)
from pipelines.store.writer import ErasedRun, RunWriter, twice

# What DuckDB may hold beside the batch at hand. It writes the rest to the file as it goes, and
# would otherwise keep a copy of that in most of the machine's memory.
MEMORY = "256MB"
BATCH_ROWS = 65_536
REPEATED = "select account_id from {rows} group by account_id having count(*) > 1 limit 100"


READERS_SECONDS, LOOK_AGAIN_SECONDS = 60.0, 0.1
"""So long a writer waits for readers, and between two looks."""


class DuckdbStore(ScoreStore):
    """Issued scores in one DuckDB file, which one process writes at a time.

    Parameters
    ----------
    file : Path
        The file.
    read_only : bool
        Whether it is opened for reading alone.
    seal_key : bytes or None
        Key that runs are sealed with.
    """

    def __init__(self, file: Path, *, read_only: bool, seal_key: bytes | None = None) -> None:
        super().__init__(str(file), read_only=read_only, seal_key=seal_key)
        self.file = file
        # The chain of seals grows by one run at a time.
        self.sealing = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._unread: set[pa.RecordBatchReader] = set()

    def __enter__(self) -> Self:
        if not self.file.exists():
            if self.read_only:
                raise NoStore(self.shown)
            _make(self.file)
        if self.file.is_dir():
            raise StoreError(
                f"The score store '{self.shown}' is a folder and must be a DuckDB file; end [store]"
                " url with a slash to keep scores in the folder as Parquet"
            )
        try:
            self._connection = self._connected()
        except duckdb.Error as error:
            raise StoreError(
                f"The score store '{self.shown}' cannot be opened: {first_line(error)}; close the"
                " program that holds it, free the disk or set another [store] url"
            ) from error
        try:
            with self._speaking():
                self._connection.execute("set memory_limit = ?", [MEMORY])
                self._connection.execute("set temp_directory = ?", [spill_folder()])
                if not self.read_only:
                    # A batch is too small to share out: a second thread costs and brings nothing.
                    self._connection.execute("set threads = 1")
                self._prepare()
        except BaseException:
            self.close()
            raise
        return self

    def _connected(self) -> duckdb.DuckDBPyConnection:
        """Open the file; to write it, wait until those who read it have let go.

        A control panel reads a run when it appears, and a page an account's history: a job at
        night must not fail for that.
        """
        until = time.monotonic() + READERS_SECONDS
        while True:
            try:
                return duckdb.connect(str(self.file), read_only=self.read_only)
            except duckdb.IOException as error:
                is_locked = "lock" in str(error).lower()
                if self.read_only or not is_locked or time.monotonic() > until:
                    raise
                if not _can_be_read(self.file):
                    raise
                time.sleep(LOOK_AGAIN_SECONDS)

    def close(self) -> None:
        """Let go of the file."""
        while self._unread:
            self._unread.pop().close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection."""
        if self._connection is None:
            raise RuntimeError("the store is entered before it is used")
        return self._connection

    def _prepare(self) -> None:
        """Make the tables, or carry over those of an earlier form, in one transaction."""

        def ask(query: str) -> list[tuple[Any, ...]]:
            return self.connection.execute(query).fetchall()

        version = version_of(ask, self.shown)
        if version == STORE_VERSION:
            return
        if self.read_only:
            if version >= BEFORE_SEALS:
                self.form = version
                return
            raise EarlierStore(self.shown) if version else NoStore(self.shown)
        self.connection.begin()
        if version >= BEFORE_SEALS:
            for statement in brought_up(version, "text"):
                self.connection.execute(statement)
        elif version:
            carry_over(self.connection, version)
        else:
            for statement in tables("text"):
                self.connection.execute(statement)
        self.connection.commit()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn the engine's complaints into one sentence."""
        try:
            yield
        except duckdb.Error as error:
            raise StoreError(
                f"The score store '{self.shown}' could not be used: {first_line(error)}; what it"
                " held is unchanged, so free the disk or mend the file and run again"
            ) from error

    def _ask(
        self, query: str, parameters: Sequence[object], schema: pa.Schema
    ) -> pa.RecordBatchReader:
        # A cursor of its own: another query on the connection would end this answer.
        cursor = self.connection.cursor()
        return batches_of(cursor, query, parameters, schema, self._speaking, self._unread)

    def _rows_of(self, run: Run) -> tuple[str, list[object]]:
        return rows_of(run)

    def groups_of(self, run: Run) -> dict[str, str]:
        """Return the group of each signal that may be a reason of a run."""
        return groups_in(self._ask(*groups_of(run), GROUPS_SCHEMA))

    def _write_erased(self, changes: Sequence[ErasedRun], account_id: str | None) -> None:
        connection, marked = self.connection.cursor(), erase_statements("?")
        try:
            with self._speaking():
                connection.begin()
                connection.execute(ERASURES)
                for statement, parameters in erasing(changes, account_id, marked):
                    connection.execute(statement, parameters)
                connection.commit()
        finally:
            connection.close()
        if not any(one.is_of_reasons for one in changes):
            self.compact()

    def held_bytes(self) -> int:
        """Return how much room the store takes."""
        return self.file.stat().st_size

    def compact(self) -> None:
        """Copy what the file holds into another in its place: what was deleted stays in a file."""
        fresh = self.file.with_name(f"{self.file.name}.{secrets.token_hex(4)}.new")
        try:
            with self._speaking():
                (name,) = self.connection.execute("select current_database()").fetchall()[0]
                self.connection.execute("checkpoint")
                self.connection.execute(f"attach {quoted(str(fresh))} as fresh")
                self.connection.execute(f'copy from database "{name}" to fresh')
                self.connection.execute("detach fresh")
            shutil.copymode(self.file, fresh)
            with fresh.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(fresh, self.file)
        except OSError as error:
            raise StoreError(
                f"The score store '{self.shown}' cannot be written anew: {error.strerror}; free"
                " some space and run again, for what was erased may still be in its file"
            ) from error
        finally:
            for left in (fresh, fresh.with_name(f"{fresh.name}.wal")):
                left.unlink(missing_ok=True)

    @contextmanager
    def _issuing(
        self, key: RunKey, groups: Mapping[str, str], *, force: bool
    ) -> Iterator[RunWriter]:
        before = self.newest(key)
        if before is not None and not force:
            raise AlreadyIssued(before)
        # Another thread of this process may use the store meanwhile.
        connection = self.connection.cursor()
        revision = before.revision + 1 if before else 1
        try:
            with self._speaking():
                connection.begin()
            yield _DuckdbRun(self, connection, key, groups, revision)
        finally:
            # Undoes what was not committed.
            connection.close()


class _DuckdbRun(RunWriter):
    """One transaction, which holds all batches of a run."""

    def __init__(
        self,
        store: DuckdbStore,
        connection: duckdb.DuckDBPyConnection,
        key: RunKey,
        groups: Mapping[str, str],
        revision: int,
    ) -> None:
        super().__init__(groups)
        self.store, self.connection, self.key, self.revision = store, connection, key, revision
        with store._speaking():
            found = connection.execute("select nextval('run_ids')").fetchall()
        self.run_id: int = found[0][0]

    def _write(self, batch: pa.RecordBatch) -> None:
        rows = pa.Table.from_batches([batch])  # noqa: F841 - the query below names it
        with self.store._speaking():
            # A name that is registered instead would keep every batch in memory until the
            # transaction ends.
            self.connection.execute(
                f"insert into score_rows (run_id, {SCORE_COLUMNS})"
                f" select ?, {SCORE_COLUMNS} from rows",
                [self.run_id],
            ).fetchall()

    def _written(self) -> Iterable[pa.RecordBatch]:
        query = f"select {SCORE_COLUMNS} from score_rows where run_id = ? order by account_id"
        with self.store._speaking():
            rows = self.connection.sql(query, params=[self.run_id]).to_arrow_reader(BATCH_ROWS)
            for batch in rows:
                yield batch.cast(SCORE_SCHEMA)

    def _finish(self, facts: Mapping[str, str]) -> Run:
        with self.store.sealing, self.store._speaking():
            run = Run(self.key, self.revision, now(), self.rows, dict(facts))
            rows = f"score_rows where run_id = {self.run_id}"
            repeated = self.connection.execute(REPEATED.format(rows=rows)).fetchall()
            if repeated:
                raise twice([account for (account,) in repeated])
            self.connection.execute(
                "insert into signal_groups select ?, unnest(?::text[]), unnest(?::text[])",
                [self.run_id, list(self.groups), list(self.groups.values())],
            )
            try:
                row = (self.run_id, *run_row(run))
                self.connection.execute("insert into runs values (?, ?, ?, ?, ?, ?, ?, ?)", row)
                seal = self.store.seal_of(run, self.groups, self._rows_digest())
                self.connection.execute(insert_seal("?"), list(asdict(seal).values()))
                self.connection.commit()
            except (duckdb.ConstraintException, duckdb.TransactionException):
                with suppress(duckdb.Error):
                    self.connection.rollback()
                rival = self.store.newest(self.key)
                if rival is not None and rival.revision >= self.revision:
                    raise AlreadyIssued(rival) from None
                raise
        return replace(run, seal=seal.seal)


def _can_be_read(file: Path) -> bool:
    """Tell whether those who hold a file only read it: one who writes it shuts out readers too."""
    try:
        duckdb.connect(str(file), read_only=True).close()
    except duckdb.Error:
        return False
    return True


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
            " another [store] url"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def quoted(text: str) -> str:
    """Write a text as SQL does."""
    return "'" + text.replace("'", "''") + "'"


def spill_folder() -> str:
    """Name a folder, where the system keeps temporary files, for what exceeds the memory.

    The engine makes it when it must and takes it away again.
    """
    return str(Path(tempfile.gettempdir()) / f"healthscore-{os.getpid()}-{secrets.token_hex(4)}")


def batches_of(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Sequence[object],
    schema: pa.Schema,
    speaking: Callable[[], AbstractContextManager[None]],
    unread: set[pa.RecordBatchReader],
) -> pa.RecordBatchReader:
    """Answer a query batch by batch, in columns of these types.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Serves this answer alone, and is closed after it.
    query : str
        The query, its parameters written ``?``.
    parameters : sequence
        Their values.
    schema : Schema
        The columns.
    speaking : callable
        Context manager that turns the engine's complaints into sentences.
    unread : set of RecordBatchReader
        Holds the engine's own answer until it is read to its end. Whoever closes the engine must
        close these first: one that is left open blocks every later opening of the file.
    """
    with speaking():
        answer = connection.sql(query, params=list(parameters)).to_arrow_reader(BATCH_ROWS)
    unread.add(answer)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            with speaking():
                for batch in answer:
                    yield _cast(batch, schema)
        finally:
            unread.discard(answer)
            answer.close()
            connection.close()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    try:
        return batch.cast(schema)
    except ValueError as error:
        raise duckdb.ConversionException(first_line(error)) from error
