"""The score store's contract, alike for DuckDB, PostgreSQL and Parquet."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from features.errors import StoreError, first_line, nearest, sample
from pipelines.store.runs import Run, RunKey
from pipelines.store.schema import (
    ADDED_COLUMNS,
    CHANGE_SCHEMA,
    HISTORY_SCHEMA,
    PORTFOLIO_SCHEMA,
    RUN_SCHEMA,
    SCORE_SCHEMA,
)
from pipelines.store.seals import ERASURE_SCHEMA, SEAL_SCHEMA, Erasure, Seal, seal_run
from pipelines.store.tables import BEFORE_CURVES, BEFORE_SEALS, ERASURES_TABLE, STORE_VERSION
from pipelines.store.writer import ErasedRun, RunWriter

# The scores of each run with the run's number, which tells the order of issue.
_NUMBERED = (
    "scores join (select outcome, as_of, model_version, revision, run_id from runs) as numbered"
    " using (outcome, as_of, model_version, revision)"
)


class ScoreStore(ABC):
    """Issued runs of scores; a context manager that holds the store open.

    A run is issued whole or not at all, and an issued one never changes: a forced rerun becomes a
    further revision and the earlier ones stay. Opening for writing makes a store that is not there
    and brings one of an earlier form up to date, in one step that keeps every score.

    What is read is asked in SQL that every store understands: ``runs`` has a row per revision,
    ``scores`` the rows of the newest revision of each key.

    Parameters
    ----------
    shown : str
        Where the store is, as it may be printed.
    read_only : bool
        Whether it is opened for reading alone, which changes nothing.
    seal_key : bytes or None
        Key that runs are sealed with.

    Attributes
    ----------
    form : int
        Form of the open store; one from before seals or curves is read as it is.
    """

    def __init__(self, shown: str, *, read_only: bool, seal_key: bytes | None = None) -> None:
        self.shown = shown
        self.read_only = read_only
        self.seal_key = seal_key
        self.form = STORE_VERSION

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of the store."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _ask(
        self, query: str, parameters: Sequence[object], schema: pa.Schema
    ) -> pa.RecordBatchReader:
        """Answer a query, whose parameters are written ``?``, in columns of these types."""

    @abstractmethod
    def _rows_of(self, run: Run) -> tuple[str, list[object]]:
        """Name the relation that holds the rows of one revision, and its parameters."""

    def is_file_changed(self, run: Run) -> bool:
        """Whether a run lies in a file of its own whose bytes are not those it was issued with."""
        return False

    @abstractmethod
    def groups_of(self, run: Run) -> dict[str, str]:
        """Return the group of each signal that may be a reason of a run."""

    @abstractmethod
    def _issuing(
        self, key: RunKey, groups: Mapping[str, str], *, force: bool
    ) -> AbstractContextManager[RunWriter]:
        """Do what :meth:`issue` says."""

    @contextmanager
    def issue(
        self, key: RunKey, groups: Mapping[str, str], *, force: bool = False
    ) -> Iterator[RunWriter]:
        """Issue a run: write its batches, then finish; nothing is visible before that.

        Leaving the block without :meth:`RunWriter.finish`, by whatever cause, leaves the store as
        it was.

        Parameters
        ----------
        key : RunKey
            What the run is about.
        groups : dict of str to str
            Group of each signal that may be a reason.
        force : bool
            Whether a run that was issued before gets a further revision.

        Yields
        ------
        RunWriter

        Raises
        ------
        AlreadyIssued
            When the run was issued before, or by a rival in the meantime, and is not forced.
        StoreError
            When the store is opened for reading, is held by another job, cannot hold a value or
            cannot be written.
        """
        if self.read_only:
            raise StoreError(f"The score store '{self.shown}' is opened for reading alone")
        with self._issuing(key, groups, force=force) as writer:
            yield writer

    def runs(self, outcome: str | None = None) -> list[Run]:
        """List every revision of every run, of one outcome or of all.

        Returns
        -------
        list of Run
            By date, then in the order of issue, whatever the clocks said.
        """
        where, parameters = ("", []) if outcome is None else ("where outcome = ?", [outcome])
        return self._runs(where, parameters)

    def newest(self, key: RunKey) -> Run | None:
        """Return the newest revision of a run, or None where it was never issued."""
        where = "where outcome = ? and as_of = ? and model_version = ?"
        found = self._runs(where, [key.outcome, key.as_of, key.model_version])
        return max(found, key=lambda run: run.revision, default=None)

    def _runs(self, where: str, parameters: Sequence[object]) -> list[Run]:
        columns = ", ".join(RUN_SCHEMA.names)
        query = f"select {columns} from runs {where} order by as_of, run_id"
        return [
            Run(
                RunKey(row["outcome"], row["as_of"], row["model_version"]),
                row["revision"],
                row["issued_at"],
                row["rows"],
                self._facts_in(row),
            )
            for row in self._listed(query, parameters, RUN_SCHEMA)
        ]

    def _listed(
        self, query: str, parameters: Sequence[object], schema: pa.Schema
    ) -> list[dict[str, Any]]:
        """Answer a query about runs, of whose columns none is ever empty or beyond a calendar."""
        try:
            table = self._ask(query, parameters, schema).read_all()
            rows: list[dict[str, Any]] = table.to_pylist()
        except (ValueError, OverflowError) as error:
            raise self._described(first_line(error)) from error
        empty = [name for name in schema.names if table[name].null_count]
        if empty:
            raise self._described(f"{sample(empty)} must be known and are empty")
        return rows

    def _described(self, why: str) -> StoreError:
        return StoreError(
            f"What the score store '{self.shown}' says of its runs cannot be read: {why}; it was"
            " changed since they were issued, so put the store back from a copy"
        )

    def _facts_in(self, row: Mapping[str, object]) -> dict[str, str]:
        try:
            facts = json.loads(str(row["facts"]))
            if isinstance(facts, dict):
                return facts
        except (ValueError, RecursionError):
            pass
        raise StoreError(
            f"The score store '{self.shown}' holds facts of the scores of {row['as_of']} by model"
            f" version {sample([row['model_version']])} that are no JSON object, so they were"
            " changed since they were issued; put the store back from a copy"
        )

    def seals(self) -> list[Seal]:
        """List the seals in the order of issue; a store from before seals has none."""
        return self._seals("order by place")

    def _seals(self, order: str) -> list[Seal]:
        if self.form <= BEFORE_SEALS:
            return []
        query = f"select {', '.join(SEAL_SCHEMA.names)} from run_seals {order}"
        return [Seal(**row) for row in self._listed(query, [], SEAL_SCHEMA)]

    def seal_of(self, run: Run, groups: Mapping[str, str], rows_digest: str) -> Seal:
        """Seal a run at the end of the chain, which nobody else may lengthen meanwhile."""
        last = next(iter(self._seals("order by place desc limit 1")), None)
        unsealed = 0 if last else len(self.runs())
        return seal_run(run, groups, rows_digest, last=last, unsealed=unsealed, key=self.seal_key)

    def erasures(self) -> list[Erasure]:
        """List what was erased from runs, in the order of erasing; mostly nothing was."""
        there = (
            "select 1 as place from information_schema.tables where table_schema ="
            f" current_schema() and table_name = '{ERASURES_TABLE}'"
        )
        if not self._ask(there, [], pa.schema([("place", pa.int64())])).read_all().num_rows:
            return []
        names = ", ".join(ERASURE_SCHEMA.names)
        # The number counts: a clock may have been set back.
        query = f"select {names} from {ERASURES_TABLE} order by number, erased_at"
        return [Erasure(**row) for row in self._listed(query, [], ERASURE_SCHEMA)]

    def write_erased(self, changes: Sequence[ErasedRun], account_id: str | None) -> None:
        """Put other names in the place of erased ones, or let reasons go.

        Parameters
        ----------
        changes : sequence of ErasedRun
            What becomes of each run.
        account_id : str or None
            The account; None where runs hold none that is erased.

        Raises
        ------
        StoreError
            When the store is opened for reading, or cannot be written.
        """
        if self.read_only:
            raise StoreError(f"The score store '{self.shown}' is opened for reading alone")
        self._write_erased(changes, account_id)

    @abstractmethod
    def _write_erased(self, changes: Sequence[ErasedRun], account_id: str | None) -> None:
        """Do what :meth:`write_erased` says."""

    @abstractmethod
    def held_bytes(self) -> int:
        """Return how much room the store takes."""

    @abstractmethod
    def compact(self) -> None:
        """Give room that is free within the store back to the disk."""

    def scores(
        self,
        run: Run,
        *,
        accounts: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """Read the rows of one revision, in order of ``account_id``, batch by batch.

        The reader ends with the store: read it before the store is closed.

        Parameters
        ----------
        run : Run
            One of :meth:`runs`.
        accounts : sequence of str, optional
            Only these, as far as the run holds them.
        columns : sequence of str, optional
            Only these of :data:`~pipelines.store.schema.SCORE_SCHEMA`.

        Raises
        ------
        StoreError
            When there is no such column, or the store cannot be read.
        """
        names = list(SCORE_SCHEMA.names if columns is None else columns)
        for name in names:
            if name not in SCORE_SCHEMA.names:
                hint = nearest(name, SCORE_SCHEMA.names) or f"; there are {SCORE_SCHEMA.names}"
                raise StoreError(f"Issued scores have no column {sample([name])}{hint}")
        relation, parameters = self._rows_of(run)
        query = f"select {self._columns(names)} from ({relation}) as held"
        if accounts is not None:
            query += " where account_id in (select unnest(?::text[]))"
            parameters.append(list(accounts))
        schema = pa.schema([SCORE_SCHEMA.field(name) for name in names])
        return self._ask(f"{query} order by account_id", parameters, schema)

    def _columns(self, names: Sequence[str]) -> str:
        """List columns, empty ones for those that a store of an earlier form does not hold."""
        absent = ADDED_COLUMNS if self.form <= BEFORE_CURVES else ()
        empty = "cast(null as double precision) as "
        return ", ".join(f"{empty}{name}" if name in absent else name for name in names)

    def account_history(self, outcome: str, account_id: str) -> pa.Table:
        """Read every score that was issued of one account.

        Returns
        -------
        Table
            One row per run that holds the account, of its newest revision, in the columns of
            :data:`~pipelines.store.schema.HISTORY_SCHEMA`; by date, then in the order of issue.
        """
        query = (
            f"select {self._columns(HISTORY_SCHEMA.names)} from {_NUMBERED}"
            " where outcome = ? and account_id = ? order by as_of, run_id"
        )
        return self._ask(query, [outcome, account_id], HISTORY_SCHEMA).read_all()

    def changes(
        self,
        before: Run | None,
        run: Run,
        *,
        after: str | None = None,
        size: int,
        accounts: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read the accounts that differ between two revisions, which never change themselves.

        Parameters
        ----------
        before, run : Run
            Two of :meth:`runs`; without the first every account of the second is new.
        after : str, optional
            Begin after this account, in order of ``account_id``.
        size : int
            Most accounts.
        accounts : sequence of str, optional
            Only these.

        Returns
        -------
        Table
            In the columns of :data:`~pipelines.store.schema.CHANGE_SCHEMA`.
        """
        told = ("segment", "band", "score", "probability", "mrr")
        now = ", ".join(f"new_run.{name}" for name in told)
        newer, parameters = self._rows_of(run)
        if before is None:
            query = (
                f"select account_id, 'new' as kind, {', '.join(told)}, cast(null as text) as"
                " band_before, cast(null as double precision) as score_before,"
                " cast(null as double precision) as probability_before"
                f" from ({newer}) as new_run"
            )
        else:
            older, more = self._rows_of(before)
            then = "old_run.band, old_run.score, old_run.probability"
            differs = " or ".join(f"new_run.{one} is distinct from old_run.{one}" for one in told)
            query = (
                "select new_run.account_id, case when old_run.account_id is null then 'new' else"
                f" 'changed' end as kind, {now}, old_run.band as band_before, old_run.score as"
                " score_before, old_run.probability as probability_before"
                f" from ({newer}) as new_run left join ({older}) as old_run"
                f" on old_run.account_id = new_run.account_id where {differs}"
                f" union all select account_id, 'gone', segment, null, null, null, null, {then}"
                f" from ({older}) as old_run where account_id not in (select account_id from"
                f" ({newer}) as new_run)"
            )
            parameters = [*parameters, *more, *more, *parameters]
        asked = {
            "account_id > ?": after,
            "account_id in (select unnest(?::text[]))": accounts and list(accounts),
        }
        terms = {term: value for term, value in asked.items() if value is not None}
        where = f"where {' and '.join(terms)}" if terms else ""
        query = f"select * from ({query}) as moved {where} order by account_id limit {int(size)}"
        return self._ask(query, [*parameters, *terms.values()], CHANGE_SCHEMA).read_all()

    def portfolio_history(self, outcome: str) -> pa.Table:
        """Sum up every run of an outcome by band.

        Returns
        -------
        Table
            One row per run (its newest revision) and band, in the columns of
            :data:`~pipelines.store.schema.PORTFOLIO_SCHEMA`; by date, then in the order of issue.
            ``mrr`` is null where that of no account is known.
        """
        query = (
            "select as_of, model_version, issued_at, band, count(*) as accounts, sum(mrr) as mrr,"
            f" avg(score) as mean_score from {_NUMBERED} where outcome = ?"
            " group by as_of, model_version, issued_at, run_id, band order by as_of, run_id, band"
        )
        return self._ask(query, [outcome], PORTFOLIO_SCHEMA).read_all()
