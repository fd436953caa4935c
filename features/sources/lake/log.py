"""Delta Lake: the log of a table whose files are written by somebody else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import SettingsError, StoreError, first_line
from features.sources.lake.listing import LOG

if TYPE_CHECKING:
    from deltalake import DeltaTable, Transaction
    from deltalake.transaction import AddAction, RemoveAction

    Actions = list[AddAction | RemoveAction]

TRIES = 3
"""How often a commit is tried that another came before."""


@dataclass(frozen=True)
class LoggedFiles:
    """The files of one folder as a log is to list them.

    Parameters
    ----------
    place : str
        The folder, from that of the table.
    names : sequence of str
        The files.
    values : dict of str to str
        What the names of folders tell of their rows.
    application : str
        Whose transactions tell that they were listed.
    version : int
        How often they were written, from 1.
    """

    place: str
    names: Sequence[str]
    values: dict[str, str | None]
    application: str
    version: int

    @property
    def paths(self) -> set[str]:
        """The files, from the folder of the table."""
        return {f"{self.place}/{name}" for name in self.names}


class DeltaLog:
    """The log of a table, which its only writer brings up to the files that there are.

    What was stopped between files and log, or was written before there was a log, is listed the
    next time. A transaction tells of the files of a folder that they were listed, so that they
    never are twice, whatever other programs made of them since.

    The log tells how many rows a file has and no value of them: what is erased is nowhere in it.

    Parameters
    ----------
    folder : Path
        Of the table.
    shown : str
        The table, as it may be printed.
    schema : Schema
        The columns of its files.
    partitions : Schema
        The columns that the names of folders tell.

    Raises
    ------
    SettingsError
        When the library that writes such logs is not installed.
    """

    def __init__(self, folder: Path, shown: str, schema: pa.Schema, partitions: pa.Schema) -> None:
        try:
            import deltalake
        except ImportError as error:
            raise SettingsError(
                f"The log of the Delta table '{shown}' is written with an extra: pip install"
                " 'healthscore[delta]'"
            ) from error
        self.folder, self.shown = folder, shown
        self.schema, self.partitions = schema, partitions
        self._columns = deltalake.Schema.from_arrow(pa.schema([*schema, *partitions]))

    def follow(self, folders: Sequence[LoggedFiles]) -> set[str]:
        """List files as they are: what is missing or was written anew, in one commit.

        Parameters
        ----------
        folders : sequence of LoggedFiles
            All that there are.

        Returns
        -------
        set of str
            The places whose files are listed as they are.

        Raises
        ------
        StoreError
            When the log cannot be read or written, or a file has columns of other types.
        """
        from deltalake.exceptions import DeltaError

        with self._speaking():
            for left in reversed(range(TRIES)):
                table = self._table()
                actions, transactions = self._missing(table, folders)
                if not actions:
                    break
                try:
                    self._commit(table, actions, transactions)
                except DeltaError:
                    # A rival may have done the same where locks do not reach.
                    if not left:
                        raise
            return _as_they_are(table, folders)

    def refuse_rewritten(self, folders: Sequence[LoggedFiles]) -> None:
        """Refuse to write anew what other programs hold in files of their own.

        Raises
        ------
        StoreError
            When the log lists other files than these, or cannot be read.
        """
        with self._speaking():
            listed = _as_they_are(self._table(), folders)
        for one in folders:
            if one.place not in listed:
                raise StoreError(
                    f"The log of the Delta table '{self.shown}' lists other files in '{one.place}'"
                    " than were written there: another program rewrote them (OPTIMIZE, DELETE) and"
                    " would keep what is to be erased; restore that version of the table, or take"
                    f" '{LOG}' away, and run again"
                )

    def _table(self) -> DeltaTable | None:
        """Open the table, with columns that earlier versions did not write."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            table = DeltaTable(self.folder.as_uri())
        except TableNotFoundError:
            return None
        known = {field.name for field in table.schema().fields}
        added = [field for field in self._columns.fields if field.name not in known]
        if not added:
            return table
        table.alter.add_columns(added)
        return self._table()

    def _missing(
        self, table: DeltaTable | None, folders: Sequence[LoggedFiles]
    ) -> tuple[Actions, list[Transaction]]:
        """Return what a commit has to say."""
        from deltalake import Transaction
        from deltalake.transaction import RemoveAction

        listed, moment = _listed(table), time.time_ns() // 1_000_000
        actions: Actions = []
        transactions = []
        for one in folders:
            held = listed.get(one.place, set())
            if held == one.paths:
                continue
            told = None if table is None else table.transaction_version(one.application)
            if told is not None and told >= one.version:
                continue
            gone = sorted(held - one.paths)
            actions += [RemoveAction(path, True, moment, None, one.values) for path in gone]
            actions += [self._added(one, path) for path in sorted(one.paths - held)]
            transactions.append(Transaction(one.application, one.version, moment))
        return actions, transactions

    def _added(self, of: LoggedFiles, path: str) -> AddAction:
        from deltalake.transaction import AddAction

        file = self.folder / path
        told, rows = file.stat(), pq.read_metadata(file)
        self._refuse_other_types(rows.schema.to_arrow_schema(), file)
        stats = json.dumps({"numRecords": rows.num_rows})
        written = told.st_mtime_ns // 1_000_000
        return AddAction(path, told.st_size, of.values, written, True, stats)

    def _refuse_other_types(self, found: pa.Schema, file: Path) -> None:
        for field in self.schema:
            place = found.get_field_index(field.name)
            if not field.nullable if place < 0 else found.field(place).type != field.type:
                raise StoreError(
                    f"An earlier version wrote '{file}' with '{field.name}' in another type, and a"
                    " Delta table has one type for each column; set [store] url to a new folder,"
                    " or take delta out of [store]"
                )

    def _commit(
        self, table: DeltaTable | None, actions: Actions, transactions: list[Transaction]
    ) -> None:
        from deltalake import CommitProperties
        from deltalake.transaction import AddAction, create_table_with_add_actions

        told: dict[str, Any] = {
            "commit_properties": CommitProperties(app_transactions=transactions)
        }
        parts = self.partitions.names
        if table is None:
            added = [action for action in actions if isinstance(action, AddAction)]
            create_table_with_add_actions(
                self.folder.as_uri(), self._columns, added, partition_by=parts, **told
            )
        else:
            table.create_write_transaction(actions, "append", self._columns, parts, **told)
        folder = self.folder / LOG
        for written in (max(folder.glob("[0-9]*.json")), folder):
            handle = os.open(written, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
            raise StoreError(
                f"The log of the Delta table '{self.shown}' could not be brought up to its files:"
                f" {first_line(error)}; they are all there, so mend the cause and run again, which"
                " lists them"
            ) from error


def _listed(table: DeltaTable | None) -> dict[str, set[str]]:
    """Return the files that a table lists, by their folders."""
    listed: dict[str, set[str]] = {}
    if table is not None:
        for path in pa.table(table.get_add_actions(flatten=True))["path"].to_pylist():
            # As the log writes it.
            place = unquote(path)
            listed.setdefault(place.rpartition("/")[0], set()).add(place)
    return listed


def _as_they_are(table: DeltaTable | None, folders: Sequence[LoggedFiles]) -> set[str]:
    listed = _listed(table)
    return {one.place for one in folders if listed.get(one.place) == one.paths}
