"""The score store: issued scores, which never change, in DuckDB, PostgreSQL or Parquet."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from features.errors import SettingsError, StoreError, nearest, sample
from features.sources.url import masked, scheme_of, with_environment
from pipelines.store.schema import HISTORY_SCHEMA, PORTFOLIO_SCHEMA, RUN_SCHEMA, SCORE_SCHEMA
from pipelines.store.writer import RunWriter

if TYPE_CHECKING:
    from pipelines.project.project import Project


@dataclass(frozen=True)
class RunKey:
    """What a run of scores is about; it is issued once.

    Parameters
    ----------
    outcome : str
        Name of the outcome the scores foretell.
    as_of : date
        Date they speak of.
    model_version : str
        Version of the model that made them.
    """

    outcome: str
    as_of: date
    model_version: str

    def __str__(self) -> str:
        return f"{self.as_of} by model version {self.model_version} (outcome {self.outcome})"


@dataclass(frozen=True)
class Run:
    """One issued run.

    Parameters
    ----------
    key : RunKey
        What it is about.
    revision : int
        1 for the first run of a key; each forced one counts on.
    issued_at : datetime
        Moment it was issued, UTC without a zone.
    rows : int
        Accounts in it.
    facts : dict of str to str
        What it was made from, such as fingerprints of the configuration and the data.
    """

    key: RunKey
    revision: int
    issued_at: datetime
    rows: int
    facts: Mapping[str, str] = field(default_factory=dict)


class AlreadyIssued(StoreError):  # noqa: N818 - no fault, as the rest of its kind
    """The run was issued before and stays as it is.

    Attributes
    ----------
    run : Run
        The newest revision.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"Scores of {run.key} were issued at {run.issued_at:%Y-%m-%d %H:%M} UTC as revision"
            f" {run.revision} and stay as they are; pass --force to issue a further revision"
        )
        self.run = run


class NoStore(StoreError):  # noqa: N818
    """Nothing was ever issued there."""

    def __init__(self, shown: str) -> None:
        super().__init__(
            f"The score store '{shown}' does not exist; issue scores with 'healthscore score'"
        )


class EarlierStore(StoreError):  # noqa: N818
    """The store has the form of an earlier version, which is not read as it is."""

    def __init__(self, shown: str) -> None:
        super().__init__(
            f"The score store '{shown}' was written by an earlier version; run 'healthscore score'"
            " once, which brings it up to date and keeps every score"
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
    """

    def __init__(self, shown: str, *, read_only: bool) -> None:
        self.shown = shown
        self.read_only = read_only

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
            By date, then by the moment they were issued.
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
        query = f"select {columns} from runs {where} order by as_of, issued_at, revision, outcome"
        return [
            Run(
                RunKey(row["outcome"], row["as_of"], row["model_version"]),
                row["revision"],
                row["issued_at"],
                row["rows"],
                json.loads(row["facts"]),
            )
            for row in self._ask(query, parameters, RUN_SCHEMA).read_all().to_pylist()
        ]

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
        query = f"select {', '.join(names)} from ({relation}) as held"
        if accounts is not None:
            query += " where account_id in (select unnest(?::text[]))"
            parameters.append(list(accounts))
        schema = pa.schema([SCORE_SCHEMA.field(name) for name in names])
        return self._ask(f"{query} order by account_id", parameters, schema)

    def account_history(self, outcome: str, account_id: str) -> pa.Table:
        """Read every score that was issued of one account.

        Returns
        -------
        Table
            One row per run that holds the account, of its newest revision, in the columns of
            :data:`~pipelines.store.schema.HISTORY_SCHEMA`; by date, then by the moment of issue.
        """
        query = (
            f"select {', '.join(HISTORY_SCHEMA.names)} from scores"
            " where outcome = ? and account_id = ? order by as_of, issued_at"
        )
        return self._ask(query, [outcome, account_id], HISTORY_SCHEMA).read_all()

    def portfolio_history(self, outcome: str) -> pa.Table:
        """Sum up every run of an outcome by band.

        Returns
        -------
        Table
            One row per run (its newest revision) and band, in the columns of
            :data:`~pipelines.store.schema.PORTFOLIO_SCHEMA`; by date, then by the moment of issue.
            ``mrr`` is null where that of no account is known.
        """
        query = (
            "select as_of, model_version, issued_at, band, count(*) as accounts, sum(mrr) as mrr,"
            " avg(score) as mean_score from scores where outcome = ?"
            " group by as_of, model_version, issued_at, band order by as_of, issued_at, band"
        )
        return self._ask(query, [outcome], PORTFOLIO_SCHEMA).read_all()


def run_row(run: Run) -> tuple[object, ...]:
    """Return a run as a row of :data:`~pipelines.store.schema.RUN_SCHEMA`."""
    key = (run.key.outcome, run.key.as_of, run.key.model_version)
    return (*key, run.revision, run.issued_at, run.rows, json.dumps(dict(run.facts)))


def now() -> datetime:
    """Return the moment, UTC without a zone, as runs are stamped."""
    return datetime.now(tz=UTC).replace(tzinfo=None)


def open_store(project: Project, *, read_only: bool) -> ScoreStore:
    """Return the store of a project, to be entered as a context manager.

    Raises
    ------
    SettingsError
        When the address has the wrong form, or the driver is not installed.
    StoreError
        On entering: when the store cannot be opened, is held by another process, was written by a
        later version, or is to be read and is not there or has an earlier form.
    """
    url = with_environment(project.settings.store.url, "store")
    options: dict[str, Any] = {"read_only": read_only}
    scheme = scheme_of(url)
    if scheme in ("postgresql", "postgres"):
        from pipelines.store.postgres import PostgresStore

        return PostgresStore(url, **options)
    if scheme or "://" in url:
        raise SettingsError(
            "[store] url must be a DuckDB file, a folder of Parquet with a slash at its end or"
            f" postgresql://USER@HOST/DATABASE, found '{masked(url)[:80]}'; correct it"
        )
    if url.endswith("/"):
        from pipelines.store.parquet import ParquetStore

        return ParquetStore((project.folder / url).resolve(), **options)
    from pipelines.store.duckdb import DuckdbStore

    return DuckdbStore((project.folder / url).resolve(), **options)
