"""What was computed of each part of a table on earlier nights, kept beside the store.

A result is named by all that it was made from: the part's identity, the statement, the columns and
types of the whole, this form and the engine's version. Whatever of it differs gives another name,
so that a result is never taken for another's; what nobody asked for in a while is thrown away.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import first_line
from features.sources.lake.parts import Part, PartedTable, ends_of

FORM = "1"
KEPT_DAYS = 40
_DAY = 86_400
_ROW_BY_ROW = (ops.DatabaseTable, ops.Project, ops.Filter, ops.DropColumns)
_OVER_ROWS = (ops.Reduction, ops.WindowFunction, ops.Impure)
Step = Callable[[ir.Table], ir.Table]


class KeptParts:
    """Computes steps on each part of a table once, over all nights.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What computes.
    folder : Path
        Where results are kept.
    is_full : bool
        Whether everything is computed at once, as if nothing had ever been kept.
    only_reads : bool
        Whether nothing is kept that was not.
    """

    def __init__(
        self,
        connection: Backend,
        folder: Path,
        *,
        is_full: bool = False,
        only_reads: bool = False,
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._is_full = is_full
        self._only_reads = only_reads
        self._tables: list[PartedTable] = []
        self._anew: dict[str, set[str]] = {}
        self._problem = ""

    def add(self, table: PartedTable) -> None:
        """Keep what is computed of a table's parts."""
        self._tables.append(table)

    def covers(self, rows: ir.Table) -> bool:
        """Tell whether rows come row by row from the parts of one table that is kept."""
        return self._is_used and self._table_of(rows) is not None

    @property
    def _is_used(self) -> bool:
        return not self._is_full and not self._problem

    def each(self, rows: ir.Table, step: Step) -> ir.Table:
        """Return the step's results on every part, one below the other.

        Of rows that are not covered the step is computed at once, and where results cannot be
        kept, as on a full disk, of all rows at once.
        """
        table = self._table_of(rows)
        if table is None or not self._is_used:
            return step(rows)
        whole = table.whole().op()
        statement = str(self._connection.compile(step(rows)))
        statement = statement.replace(whole.name, "whole") + repr(whole.schema)
        files = []
        for part in table.parts:
            file = self._folder / f"{_digest(FORM, duckdb.__version__, statement, part.identity)}"
            file = file.with_suffix(".parquet")
            if not is_whole(file):
                if self._only_reads:
                    return step(rows)
                own = table.part(part).op()
                expression = step(rows.op().replace({whole: own}).to_expr())
                if not self._keep(file, expression, part):
                    return step(rows)
                self._anew.setdefault(table.name, set()).add(part.identity)
            files.append(file)
        return self._read(files)

    def told(self) -> list[str]:
        """Say what of each table was as before and what was read anew, a sentence each."""
        said = []
        for table in self._tables:
            anew, every = len(self._anew.get(table.name, ())), len(table.parts)
            before = f"{every - anew:,} of {every:,} files as before, {anew:,} read anew"
            said.append(f"{table.name}: {f'all {every:,} files read' if self._is_full else before}")
        return [*said, self._problem] if self._problem else said

    def close(self) -> None:
        """Throw away what was not used for long."""
        until = time.time() - KEPT_DAYS * _DAY
        # What cannot be taken away now the next run takes away.
        with suppress(OSError):
            for file in self._folder.iterdir():
                if file.stat().st_mtime < until:
                    file.unlink(missing_ok=True)

    def _table_of(self, rows: ir.Table) -> PartedTable | None:
        relations = rows.op().find(ops.Relation)
        if not all(isinstance(each, _ROW_BY_ROW) for each in relations):
            return None
        sources = {each for each in relations if isinstance(each, ops.DatabaseTable)}
        if len(sources) != 1 or rows.op().find(_OVER_ROWS):
            return None
        (source,) = sources
        return next((table for table in self._tables if table.view == source.name), None)

    def _keep(self, file: Path, expression: ir.Table, part: Part) -> bool:
        """Write a result, all of it or nothing."""
        fresh = file.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            place = str(fresh).replace("'", "''")
            statement = self._connection.compile(expression)
            self._connection.con.execute(f"COPY ({statement}) TO '{place}' (FORMAT parquet)")
            # Rows that changed while they were read are of neither state.
            part.fetch()
            fresh.with_suffix(".ends").write_text(ends_of(fresh), encoding="ascii")
            fresh.with_suffix(".ends").replace(file.with_suffix(".ends"))
            fresh.replace(file)
        except (OSError, duckdb.Error) as error:
            part.fetch()
            self._problem = (
                f"Nothing is kept for the next night, and this one reads everything, as"
                f" '{self._folder}' cannot be written: {first_line(error)}"
            )
            return False
        finally:
            with suppress(OSError):
                for left in (fresh, fresh.with_suffix(".ends")):
                    left.unlink(missing_ok=True)
        return True

    def _read(self, files: list[Path]) -> ir.Table:
        view = ibis.util.gen_name("kept")
        listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
        self._connection.con.execute(
            f'CREATE TEMP VIEW "{view}" AS SELECT * FROM read_parquet([{listed}])'
        )
        return self._connection.table(view)


def is_whole(file: Path) -> bool:
    """Tell whether a kept result is what was written, and mark it as used."""
    try:
        if file.with_suffix(".ends").read_text("ascii") != ends_of(file):
            return False
        for used in (file, file.with_suffix(".ends")):
            os.utime(used)
    except (OSError, UnicodeDecodeError):
        return False
    return True


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
