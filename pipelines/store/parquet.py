"""The score store in a folder of Parquet files, one folder for each revision of a run."""

from __future__ import annotations

import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import duckdb
import pyarrow as pa

from features.errors import StoreError, first_line
from features.json_values import Json
from features.sources.lake.listing import LOG
from features.sources.lake.log import DeltaLog
from pipelines.reports.terminal.whole_file import folder_to_disk, to_disk
from pipelines.store.base import ScoreStore
from pipelines.store.duckdb import batches_of
from pipelines.store.parquet_files import (
    ERASED,
    FACTS,
    PARTITIONS,
    ParquetRun,
    are_changed,
    engine,
    erase,
    files_of,
    logged,
    names_of,
    read_facts,
    rows_of_files,
    take_replaced,
    texts,
    told_of,
    typed,
)
from pipelines.store.runs import AlreadyIssued, NoStore, Run, RunKey, now
from pipelines.store.schema import HISTORY_SCHEMA, RUN_SCHEMA, SCORE_SCHEMA
from pipelines.store.seals import ERASURE_SCHEMA, SEAL_SCHEMA, Erasure
from pipelines.store.tables import ERASURES_TABLE, NEWEST_RUNS, refuse_later
from pipelines.store.writer import FILE_SCHEMA, ErasedRun, RunWriter

# Readers of Parquet folders pass over names that begin so.
_LOCK, _UNFINISHED = "_lock", "_unfinished"
_HIVE = "{'outcome': varchar, 'as_of': date, 'model_version': varchar, 'revision': integer}"


class ParquetStore(ScoreStore):
    """Issued scores as ``outcome=/as_of=/model_version=/revision=/scores.parquet``.

    The rows of a run are written into a folder that readers pass over, and one rename makes them
    visible. What a killed job left there is taken away by the next one. A run that many processes
    wrote has several files, which its ``_run.json`` names.

    Where it is a Delta table as well, a commit to the log lists a run that was made visible. A
    store that has such a log keeps it whatever is asked.

    Parameters
    ----------
    folder : Path
        The folder.
    read_only : bool
        Whether it is opened for reading alone.
    seal_key : bytes or None
        Key that runs are sealed with.
    delta : bool
        Whether it is to be a Delta table.
    """

    def __init__(
        self,
        folder: Path,
        *,
        read_only: bool,
        seal_key: bytes | None = None,
        delta: bool = False,
    ) -> None:
        super().__init__(f"{folder}/", read_only=read_only, seal_key=seal_key)
        self.folder, self.delta = folder, delta
        self._unread: set[pa.RecordBatchReader] = set()
        self._seen: tuple[list[dict[str, object]], duckdb.DuckDBPyConnection] | None = None

    def __enter__(self) -> Self:
        with self._speaking():
            if not self.read_only:
                self._refuse_foreign()
                self.folder.mkdir(parents=True, exist_ok=True)
            elif not self._facts_files():
                raise NoStore(self.shown)
            self._facts()
        if not self.read_only and (log := self._log()):
            with (self.folder / _LOCK).open("a") as lock:
                # Whoever holds the store brings the log up to its runs.
                if self._is_taken(lock):
                    self._tell(log)
        return self

    def _log(self) -> DeltaLog | None:
        """Return the log of the store, where it is a Delta table."""
        if not self.delta and not (self.folder / LOG).is_dir():
            return None
        return DeltaLog(self.folder, self.shown, FILE_SCHEMA, PARTITIONS)

    def _tell(self, log: DeltaLog) -> None:
        """Have the log list the runs as they are, and take away what it listed before."""
        places = [os.path.dirname(name) for name in sorted(self._facts_files())]
        told = {place: read_facts(self.folder / place) for place in places}
        for place in log.follow([logged(place, told[place]) for place in places]):
            take_replaced(self.folder / place, told[place])

    def close(self) -> None:
        """Let go of answers that were not read to their end, and of the engine."""
        while self._unread:
            self._unread.pop().close()
        if self._seen is not None:
            self._seen[1].close()
            self._seen = None

    def _refuse_foreign(self) -> None:
        held = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if held and _LOCK not in held and not self._facts_files():
            raise StoreError(
                f"The score store '{self.shown}' must be a folder of its own, and holds"
                f" '{min(held)[:60]}'; set [store] url to an empty folder or a new one"
            )

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn the complaints of the system and the engine into one sentence."""
        try:
            yield
        except (OSError, duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
            raise StoreError(
                f"The score store '{self.shown}' could not be used: {first_line(error)}; what it"
                " held is unchanged, so free the disk or mend the file and run again"
            ) from error

    def _facts_files(self) -> list[str]:
        pattern = "/".join(f"{part}=*" for part in PARTITIONS.names)
        return glob.glob(f"{pattern}/{FACTS}", root_dir=self.folder)

    def _facts(self) -> list[dict[str, object]]:
        """Read what is known of each run, with the folder of its rows, in the order of issue."""
        found = []
        for name in sorted(self._facts_files()):
            file = self.folder / name
            try:
                told = json.loads(file.read_text(encoding="utf-8"))
                refuse_later(told["version"], self.shown)
                found.append(typed(told) | {"files": files_of(file.parent, told)})
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise StoreError(
                    f"The score store '{self.shown}' holds a run whose '{name}' is broken"
                    f" ({first_line(error)}); put it back from a copy or take its folder away"
                ) from error
        found.sort(key=lambda run: (run.get("place", 0), run["issued_at"], run["revision"]))
        return [run | {"run_id": number} for number, run in enumerate(found, start=1)]

    def _engine_of_runs(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to an engine that sees the runs as every other store shows them.

        An engine takes longer to start than to answer: it is kept until there is another run.
        """
        facts, seen = self._facts(), self._seen
        if seen is None or seen[0] != facts:
            # Whoever still reads an answer of the earlier engine keeps that alive.
            seen = self._seen = facts, self._engine_of(facts)
        return seen[1].cursor()

    def _engine_of(self, facts: list[dict[str, object]]) -> duckdb.DuckDBPyConnection:
        answering = engine()
        named = ("files", pa.list_(pa.string()))
        schema = pa.schema([*RUN_SCHEMA, ("run_id", pa.int64()), named])
        runs = pa.Table.from_pylist(facts, schema)  # noqa: F841 - named below
        sealed = [run for run in facts if "seal" in run]
        seals = pa.Table.from_pylist(sealed, SEAL_SCHEMA)  # noqa: F841
        answering.execute("create table runs as select * from runs").fetchall()
        answering.execute("create table run_seals as select * from seals").fetchall()
        told = [one for run in facts for one in Erasure.rows_of(run, run.get(ERASED))]
        erasures = pa.Table.from_pylist(told, ERASURE_SCHEMA)  # noqa: F841
        answering.execute(f"create table {ERASURES_TABLE} as select * from erasures").fetchall()
        answering.execute(NEWEST_RUNS)
        files = answering.execute("select unnest(files) from newest_runs").fetchall()
        if files:
            listed = texts([file for (file,) in files])
            answering.execute(
                f"create view scores as select {', '.join(HISTORY_SCHEMA.names)} from newest_runs"
                f" join (select * from read_parquet({listed}, union_by_name = true,"
                f" hive_partitioning = true, hive_types = {_HIVE})"
                f" union all by name select * from no_rows) using ({', '.join(PARTITIONS.names)})"
            )
        else:
            answering.from_arrow(HISTORY_SCHEMA.empty_table()).create("scores")
        return answering

    def groups_of(self, run: Run) -> dict[str, str]:
        """Return the group of each signal that may be a reason of a run."""
        with self._speaking():
            groups: dict[str, str] = read_facts(self.folder_of(run.key, run.revision))["groups"]
        return groups

    def is_file_changed(self, run: Run) -> bool:
        """Whether a run's file has other bytes than it was issued with; its statistics are read."""
        folder = self.folder_of(run.key, run.revision)
        with self._speaking():
            return are_changed(folder)

    def _ask(
        self, query: str, parameters: Sequence[object], schema: pa.Schema
    ) -> pa.RecordBatchReader:
        with self._speaking():
            answering = self._engine_of_runs()
            return batches_of(answering, query, parameters, schema, self._speaking, self._unread)

    def folder_of(self, key: RunKey, revision: int) -> Path:
        """Return where the rows of a revision lie."""
        values = (key.outcome, key.as_of.isoformat(), key.model_version, str(revision))
        parts = [
            f"{part}={quote(v, safe='')}" for part, v in zip(PARTITIONS.names, values, strict=True)
        ]
        return self.folder.joinpath(*parts)

    def _rows_of(self, run: Run) -> tuple[str, list[object]]:
        folder = self.folder_of(run.key, run.revision)
        with self._speaking():
            told = read_facts(folder)
        if not all((folder / name).exists() for name in names_of(told)):
            raise StoreError(f"The score store '{self.shown}' holds no scores of {run.key}")
        return rows_of_files(told), [files_of(folder, told)]

    def scores_between(
        self, run: Run, first: str, last: str, columns: Sequence[str]
    ) -> pa.RecordBatchReader:
        """Read columns of the accounts from one to another, both included, of those a run holds."""
        relation, parameters = self._rows_of(run)
        query = (
            f"select {', '.join(columns)} from ({relation}) as held"
            " where account_id between ? and ? order by account_id"
        )
        schema = pa.schema([SCORE_SCHEMA.field(name) for name in columns])
        with self._speaking():
            answering = self._engine_of_runs()
        given = [*parameters, first, last]
        return batches_of(answering, query, given, schema, self._speaking, self._unread)

    @contextmanager
    def _issuing(
        self, key: RunKey, groups: Mapping[str, str], *, force: bool
    ) -> Iterator[RunWriter]:
        with self.drafting(key, force=force) as (draft, revision), ExitStack() as held:

            def commit(rows: int, facts: Mapping[str, str], digest: str, files: Json) -> Run:
                run = Run(key, revision, now(), rows, dict(facts))
                return self.commit(draft, run, groups, digest, files)

            with self._speaking():
                written = ParquetRun(draft, groups, self._engine_of_runs, self._speaking, commit)
                held.enter_context(closing(written))
            yield written

    @contextmanager
    def drafting(self, key: RunKey, *, force: bool) -> Iterator[tuple[Path, int]]:
        """Give an empty folder for the files of a run, and the number of its revision.

        The store is held meanwhile, and what is not committed is taken away.

        Raises
        ------
        AlreadyIssued
            When the run was issued before and is not forced.
        StoreError
            When another job writes the store, or it cannot be written.
        """
        with ExitStack() as held:
            with self._speaking():
                self._take(held.enter_context((self.folder / _LOCK).open("a")))
                before = self.newest(key)
                if before is not None and not force:
                    raise AlreadyIssued(before)
                # Whoever holds the lock is the only writer: what lies there a killed one left.
                shutil.rmtree(self.folder / _UNFINISHED, ignore_errors=True)
                draft = self.folder / _UNFINISHED / secrets.token_hex(4)
                held.callback(shutil.rmtree, draft.parent, ignore_errors=True)
                draft.mkdir(parents=True)
            yield draft, before.revision + 1 if before else 1

    def commit(
        self,
        draft: Path,
        run: Run,
        groups: Mapping[str, str],
        rows_digest: str,
        files: Json,
    ) -> Run:
        """Make the files of a draft a run, all of them in one step.

        Parameters
        ----------
        draft : Path
            A folder that holds these files alone.
        run : Run
            What they are.
        groups : dict of str to str
            Group of each signal that may be a reason.
        rows_digest : str
            Of its rows.
        files : dict
            What is kept of the files: :data:`FILE_DIGEST` or :data:`FILES`.

        Raises
        ------
        AlreadyIssued
            When a rival issued the run in the meantime.
        """
        key = run.key
        with self._speaking():
            seal = self.seal_of(run, groups, rows_digest)
            with draft.joinpath(FACTS).open("w", encoding="utf-8") as told:
                json.dump(told_of(run, groups) | {"seal": seal.kept()} | files, told, indent=1)
                to_disk(told)
            folder_to_disk(draft)
            target = self.folder_of(key, run.revision)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(draft, target)
            except OSError:
                rival = self.newest(key)
                if rival is not None and rival.revision >= run.revision:
                    raise AlreadyIssued(rival) from None
                raise
            folder_to_disk(target.parent)
            if log := self._log():
                self._tell(log)
        return replace(run, seal=seal.seal)

    def _write_erased(self, changes: Sequence[ErasedRun], account_id: str | None) -> None:
        with ExitStack() as held, self._speaking():
            self._take(held.enter_context((self.folder / _LOCK).open("a")))
            shutil.rmtree(self.folder / _UNFINISHED, ignore_errors=True)
            folders = [self.folder_of(one.run.key, one.run.revision) for one in changes]
            log = self._log()
            if log is not None:
                self._tell(log)
                places = [each.relative_to(self.folder).as_posix() for each in folders]
                log.refuse_rewritten(
                    [logged(place, read_facts(self.folder / place)) for place in places]
                )
            for folder, one in zip(folders, changes, strict=True):
                erase(folder, one, account_id, renew=log is not None)
            if log is not None:
                self._tell(log)

    def held_bytes(self) -> int:
        """Return how much room the store takes."""
        with self._speaking():
            return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def compact(self) -> None:
        """Do nothing: files hold no room that is free."""

    def _take(self, lock: IO[str]) -> None:
        if not self._is_taken(lock):
            raise StoreError(
                f"The score store '{self.shown}' is just now written by another job; wait for it"
                " and run again"
            )

    def _is_taken(self, lock: IO[str]) -> bool:
        """Take the lock, unless another job has it."""
        try:
            import fcntl
        except ImportError as error:
            raise StoreError(
                f"The score store '{self.shown}' needs file locks of POSIX, which this system"
                " lacks; set [store] url to a DuckDB file"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
