"""The score store in a schema of a PostgreSQL database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import StoreError, first_line, sample
from features.sources.engines.postgres_copy import flat_columns, from_csv, to_csv
from features.sources.postgres import FORM, connect
from features.sources.url import parse_url
from pipelines.store.base import ScoreStore
from pipelines.store.runs import AlreadyIssued, NoStore, Run, RunKey, now, run_row
from pipelines.store.schema import REASONS, SCORE_SCHEMA, SMALL_SCHEMA, as_small
from pipelines.store.tables import (
    BEFORE_PARTS,
    BEFORE_SEALS,
    ERASURES,
    ERASURES_TABLE,
    GROUPS_SCHEMA,
    SCORE_COLUMNS,
    STORE_VERSION,
    brought_up,
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

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

DEFAULT_SCHEMA = "healthscore"
BLOCK_BYTES = 1 << 24
_TEXT = 'text collate "C"'
_KEY = ", primary key (run_id, account_id)"
_SETTINGS = """
SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, MDY'; SET extra_float_digits = 1;
SET client_min_messages = 'warning';
-- A server that answers before it has written would lose an issued run when it goes away.
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'"""
# Whatever the rights, these can be read; the information schema hides what may not be used.
_THERE = """
SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = 'healthscore_store'"""


_BYTES = """
SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r'"""


# Grants a table to everybody who was granted runs, and no more than that.
_SAME_RIGHTS = """
DO $$ DECLARE granted record; BEGIN FOR granted IN
    SELECT r.grantee, r.privilege_type FROM pg_catalog.pg_class c,
        LATERAL aclexplode(c.relacl) AS r
    WHERE c.oid = 'runs'::regclass AND r.grantee <> c.relowner
LOOP EXECUTE format('GRANT %s ON {table} TO %s', granted.privilege_type,
    CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
END LOOP; END $$"""


class PostgresStore(ScoreStore):
    """Issued scores in a schema of their own on a PostgreSQL server.

    Parameters
    ----------
    url : str
        Address of the server; ``?schema=`` names the schema, "healthscore" where left out.
    read_only : bool
        Whether it is opened for reading alone.
    seal_key : bytes or None
        Key that runs are sealed with.

    Raises
    ------
    SettingsError
        When the address has the wrong form.
    """

    def __init__(self, url: str, *, read_only: bool, seal_key: bytes | None = None) -> None:
        self._url = parse_url(url, FORM, "store")
        super().__init__(self._url.shown, read_only=read_only, seal_key=seal_key)
        self._options = dict(self._url.query)
        self.schema = self._options.pop("schema", "") or DEFAULT_SCHEMA
        self._connection: psycopg.Connection[TupleRow] | None = None

    def __enter__(self) -> Self:
        self._connection = self._connect()
        try:
            with self._speaking():
                self._prepare(self._connection)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let go of the server."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> psycopg.Connection[TupleRow]:
        """The open connection."""
        if self._connection is None:
            raise RuntimeError("the store is entered before it is used")
        return self._connection

    def _connect(self) -> psycopg.Connection[TupleRow]:
        connection = connect(self._url, self._options, "store", StoreError)
        with self._speaking():
            connection.execute(_SETTINGS)
            connection.execute(
                "SELECT set_config('search_path', quote_ident(%s), false)", [self.schema]
            )
        return connection

    def _prepare(self, connection: psycopg.Connection[TupleRow]) -> None:
        """Make the tables where there are none."""
        from psycopg import sql

        def ask(query: str) -> list[TupleRow]:
            return connection.execute(query).fetchall()

        if self.read_only:
            self.form = version_of(ask, self.shown)
            if self.form < BEFORE_SEALS:
                there = connection.execute(_THERE, [self.schema]).fetchone()
                raise self._forbidden() if there else NoStore(self.shown)
            return
        with connection.transaction():
            # Of two first jobs one makes the tables and the other finds them.
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"store {self.schema}"]
            )
            version = version_of(ask, self.shown)
            if version == STORE_VERSION:
                return
            if version:
                self._bring_up(connection, version)
                return
            if connection.execute(_THERE, [self.schema]).fetchone():
                raise self._forbidden()
            schemas = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
            if not connection.execute(schemas, [self.schema]).fetchone():
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
            for statement in tables(_TEXT, _KEY, is_small=True):
                connection.execute(statement)

    def _bring_up(self, connection: psycopg.Connection[TupleRow], version: int) -> None:
        """Bring an earlier store up to date; who may read the runs may read it all."""
        from psycopg import errors

        try:
            for statement in brought_up(version, _TEXT, is_small=True):
                connection.execute(statement)
            for table in ("run_seals", "run_signals", "issued_rows"):
                connection.execute(_SAME_RIGHTS.format(table=table))
        except errors.InsufficientPrivilege as error:
            raise StoreError(
                f"The score store '{self.shown}' was written by an earlier version, and only the"
                " owner of its tables can bring it up to date, which keeps every score; run"
                " 'healthscore score' once as that user"
            ) from error

    def _forbidden(self) -> StoreError:
        rights = "SELECT" if self.read_only else "SELECT, INSERT"
        return StoreError(
            f"The score store '{self.shown}' may not be used by this user; run as its owner: GRANT"
            f" USAGE ON SCHEMA {self.schema}, GRANT {rights} ON ALL TABLES IN SCHEMA {self.schema}"
            + ("" if self.read_only else f", GRANT USAGE ON ALL SEQUENCES IN SCHEMA {self.schema}")
        )

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn the server's complaints into one sentence."""
        import psycopg

        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreError(
                f"The score store '{self.shown}' does not let this user do that:"
                f" {self._url.scrub(first_line(error))}; grant CREATE on the database, or make the"
                f" schema {self.schema} as its owner and grant USAGE and CREATE on it"
            ) from error
        except psycopg.Error as error:
            raise StoreError(
                f"The score store '{self.shown}' could not be used:"
                f" {self._url.scrub(first_line(error))}; what it held is unchanged, so mend that"
                " and run again"
            ) from error

    def _ask(
        self, query: str, parameters: Sequence[object], schema: pa.Schema
    ) -> pa.RecordBatchReader:
        answer = query.replace("?", "%s")
        statement = (
            f"COPY (SELECT {flat_columns(schema, REASONS)} FROM ({answer}) AS answer) TO STDOUT"
        )

        def batches() -> Iterator[pa.RecordBatch]:
            # A connection of its own: an answer is read while others are asked for.
            with (
                self._speaking(),
                self._connect() as connection,
                connection.cursor() as cursor,
                cursor.copy(f"{statement} (FORMAT csv)", list(parameters)) as blocks,
            ):
                yield from from_csv(blocks, schema, BLOCK_BYTES, REASONS)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _rows_of(self, run: Run) -> tuple[str, list[object]]:
        return rows_of(run, "score_rows" if self.form <= BEFORE_PARTS else "issued_rows")

    def groups_of(self, run: Run) -> dict[str, str]:
        """Return the group of each signal that may be a reason of a run."""
        return groups_in(self._ask(*groups_of(run), GROUPS_SCHEMA))

    def _write_erased(self, changes: Sequence[ErasedRun], account_id: str | None) -> None:
        with self._speaking():
            with self.connection.transaction():
                self.connection.execute(ERASURES)
                self.connection.execute(_SAME_RIGHTS.format(table=ERASURES_TABLE))
                for statement, parameters in erasing(
                    changes, account_id, erase_statements("%s", is_small=True)
                ):
                    self.connection.execute(statement, parameters)
            # What was replaced is free to be written over; copies of a server are its own affair.
            self.connection.execute("VACUUM score_rows")
            self.connection.execute("VACUUM runs")

    def held_bytes(self) -> int:
        """Return how much room the store takes."""
        with self._speaking():
            row = self.connection.execute(_BYTES, [self.schema]).fetchone()
        return int(row[0]) if row else 0

    def compact(self) -> None:
        """Write the rows anew; who reads waits meanwhile."""
        with self._speaking():
            self.connection.execute("VACUUM FULL score_rows")

    @contextmanager
    def _issuing(
        self, key: RunKey, groups: Mapping[str, str], *, force: bool
    ) -> Iterator[RunWriter]:
        import psycopg

        try:
            with self._speaking():
                self.connection.execute("BEGIN")
                free = self.connection.execute(
                    "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
                    [f"store {self.schema} {key}"],
                ).fetchone()
            if free != (True,):
                raise StoreError(
                    f"The score store '{self.shown}' is just now given the scores of {key} by"
                    " another job; wait for it and run again"
                )
            before = self.newest(key)
            if before is not None and not force:
                raise AlreadyIssued(before)
            with ExitStack() as copying:
                yield _PostgresRun(self, copying, key, groups, before.revision + 1 if before else 1)
        finally:
            # Undoes what was not committed; a server that went away has undone it already.
            if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                with suppress(psycopg.Error):
                    self.connection.execute("ROLLBACK")


class _PostgresRun(RunWriter):
    """One transaction, whose rows go over in one stream."""

    def __init__(
        self,
        store: PostgresStore,
        copying: ExitStack,
        key: RunKey,
        groups: Mapping[str, str],
        revision: int,
    ) -> None:
        super().__init__(groups)
        self.store, self.copying, self.key, self.revision = store, copying, key, revision
        with store._speaking():
            cursor = store.connection.execute("SELECT nextval('run_ids')")
            row = cursor.fetchone()
            assert row is not None
            self.run_id: int = row[0]
            # What shows the rows needs the signals, whose places the rows hold.
            store.connection.execute(
                "INSERT INTO run_signals VALUES (%s, %s)", (self.run_id, list(groups))
            )
            names = ", ".join(["run_id", *SMALL_SCHEMA.names])
            statement = f"COPY score_rows ({names}) FROM STDIN (FORMAT csv)"
            self.copy = copying.enter_context(store.connection.cursor().copy(statement))

    def _write(self, batch: pa.RecordBatch) -> None:
        ids = pa.repeat(self.run_id, batch.num_rows)
        rows = to_csv(as_small(batch, list(self.groups)).add_column(0, "run_id", ids))
        if b"\0" in rows:
            raise _nul(batch)
        with self._speaking():
            self.copy.write(rows)

    def _written(self) -> Iterable[pa.RecordBatch]:
        query = f"SELECT {SCORE_COLUMNS} FROM issued_rows WHERE run_id = %s ORDER BY account_id"
        statement = (
            f"COPY (SELECT {flat_columns(SCORE_SCHEMA, REASONS)} FROM ({query}) AS rows) TO STDOUT"
        )
        cursor = self.store.connection.cursor()
        with cursor.copy(f"{statement} (FORMAT csv)", [self.run_id]) as blocks:
            yield from from_csv(blocks, SCORE_SCHEMA, BLOCK_BYTES, REASONS)

    def _finish(self, facts: Mapping[str, str]) -> Run:
        connection = self.store.connection
        with self._speaking():
            self.copying.close()
            connection.execute(
                "INSERT INTO signal_groups SELECT %s, unnest(%s::text[]), unnest(%s::text[])",
                [self.run_id, list(self.groups), list(self.groups.values())],
            )
            # The chain of seals grows by one run at a time.
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                [f"seals {self.store.schema}"],
            )
            run = Run(self.key, self.revision, now(), self.rows, dict(facts))
            connection.execute(
                "INSERT INTO runs VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (self.run_id, *run_row(run)),
            )
            seal = self.store.seal_of(run, self.groups, self._rows_digest())
            connection.execute(insert_seal("%s"), list(asdict(seal).values()))
            connection.execute("COMMIT")
        return replace(run, seal=seal.seal)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        import psycopg

        with self.store._speaking():
            try:
                yield
            except psycopg.errors.UniqueViolation as error:
                # The words are in the server's language, the values are not.
                found = re.search(r"=\(\d+, (.*)\)", error.diag.message_detail or "", re.DOTALL)
                if error.diag.table_name != "score_rows" or found is None:
                    raise
                raise twice([found[1]]) from error


def _nul(batch: pa.RecordBatch) -> StoreError:
    texts = [batch.column(field.name) for field in SCORE_SCHEMA if field.type == pa.string()]
    bad = texts[0].filter(pc.match_substring(texts[0], "\0")).to_pylist()
    where = f"(accounts {sample(bad)})" if bad else "of a segment or a signal's value"
    return StoreError(
        f"PostgreSQL keeps no text with the character NUL, and that {where} holds one; nothing was"
        " issued, so take it out of the tables or set [store] url to a DuckDB file"
    )
