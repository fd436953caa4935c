"""The files of one run in a folder of Parquet: what they hold, and what is kept of them."""

from __future__ import annotations

import glob
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import StoreError
from features.json_values import Json
from features.sources.lake.log import LoggedFiles
from pipelines.reports.terminal.whole_file import (
    file_digest,
    folder_to_disk,
    replaced_whole,
    to_disk,
)
from pipelines.store.duckdb import BATCH_ROWS, MEMORY, REPEATED, spill_folder
from pipelines.store.runs import Run
from pipelines.store.schema import SCORE_SCHEMA, days_kept, without_reasons
from pipelines.store.seals import SEAL_SCHEMA
from pipelines.store.tables import SCORE_COLUMNS, STORE_VERSION
from pipelines.store.writer import (
    FILE_SCHEMA,
    ErasedRun,
    RunWriter,
    as_in_file,
    renamed_rows,
    rows_writer,
    twice,
)

ROWS, FACTS = "scores.parquet", "_run.json"
FILE_DIGEST, ERASED = "file_sha256", "erasures"
FILES = "files_sha256"
"""Of a run in several files: the digest of each, by its name."""
WRITTEN = "written"
"""Of a run whose files were written anew under other names: how often they were written."""
_RENEWED = re.compile(r"scores(-[0-9]+)?\.[0-9a-f]{8}\.parquet")
_NO_REASONS = "[]::varchar[] as reason_signals, []::double[] as reason_points"
PARTITIONS = pa.schema(
    [
        ("outcome", pa.string()),
        ("as_of", pa.date32()),
        ("model_version", pa.string()),
        ("revision", pa.int32()),
    ]
)
"""What the names of a run's folders tell."""
ROWS_OF_FILES = "select * from read_parquet(?) union all by name select * from no_rows"
"""Asks :func:`engine` for the rows of a list of files."""


def engine() -> duckdb.DuckDBPyConnection:
    """Return an engine that reads the files of runs, of whatever version."""
    made = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill_folder()})
    # Beside a table that has them, columns that earlier files lack come empty, and decimals as the
    # doubles nearest to them.
    made.from_arrow(SCORE_SCHEMA.empty_table()).create("no_rows")
    return made


def told_of(run: Run, groups: Mapping[str, str]) -> Json:
    """Return what is kept of a run beside its seal and the digests of its files."""
    return {
        "version": STORE_VERSION,
        "outcome": run.key.outcome,
        "as_of": run.key.as_of.isoformat(),
        "model_version": run.key.model_version,
        "revision": run.revision,
        "issued_at": run.issued_at.isoformat(),
        "rows": run.rows,
        "facts": dict(run.facts),
        "groups": dict(groups),
    }


def names_of(told: Mapping[str, Any]) -> list[str]:
    """Name the files of a run."""
    return list(told.get(FILES, (ROWS,)))


def logged(place: str, told: Mapping[str, Any]) -> LoggedFiles:
    """Return the files of the run in a folder as a log lists them."""
    values: dict[str, str | None] = {name: str(told[name]) for name in PARTITIONS.names}
    known = f"healthscore {json.dumps([*values.values()])}"
    return LoggedFiles(place, names_of(told), values, known, told.get(WRITTEN, 1))


def files_of(folder: Path, told: Mapping[str, Any]) -> list[str]:
    """Name the files of a run as the engine takes them."""
    return [f"{glob.escape(str(folder))}/{glob.escape(name)}" for name in names_of(told)]


def typed(told: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a run, and its seal, in the types of rows of the store's tables."""
    seal = told.get("seal", {})
    erased = {ERASED: told[ERASED]} if ERASED in told else {}
    return (
        erased
        | {name: seal[name] for name in SEAL_SCHEMA.names if name in seal}
        | {
            "outcome": str(told["outcome"]),
            "as_of": date.fromisoformat(told["as_of"]),
            "model_version": str(told["model_version"]),
            "revision": int(told["revision"]),
            "issued_at": datetime.fromisoformat(told["issued_at"]),
            "rows": int(told["rows"]),
            "facts": json.dumps(told["facts"]),
        }
    )


def texts(values: list[str]) -> str:
    """Write a list of texts as the engine reads it."""
    quoted = ("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{', '.join(quoted)}]"


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what is kept of the run in a folder."""
    told: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return told


def are_reasons_gone(told: Mapping[str, Any]) -> bool:
    """Whether the reasons of a run were let go."""
    return any(days_kept(str(one["tombstone"])) is not None for one in told.get(ERASED, ()))


def rows_of_files(told: Mapping[str, Any]) -> str:
    """Ask for the rows of a run as :data:`ROWS_OF_FILES` does, without reasons that were let go.

    What was stopped between the record and the files is so let go as well.
    """
    if not are_reasons_gone(told):
        return ROWS_OF_FILES
    gone = f"{_NO_REASONS}, []::varchar[] as reason_values"
    return f"select * replace ({gone}) from ({ROWS_OF_FILES})"


def are_changed(folder: Path) -> bool:
    """Whether files have other bytes than they were issued with, or others are there.

    Other programs read every file of the folder, and their statistics tell which rows to skip.
    """
    told = read_facts(folder)
    if FILES in told:
        there = {file.name: file_digest(file) for file in folder.glob("*.parquet")}
        return bool(there != told[FILES])
    kept = told.get(FILE_DIGEST)
    # Runs from before it was kept have none.
    return kept is not None and kept != file_digest(folder / ROWS)


def erase(folder: Path, change: ErasedRun, account_id: str | None, *, renew: bool) -> None:
    """Write what is kept of an erasure, and then the rows: what is between is seen.

    Whatever was stopped before, files of a run whose reasons were let go hold none afterwards.

    Parameters
    ----------
    folder : Path
        Of the run.
    change : ErasedRun
        What becomes of it.
    account_id : str or None
        Who is erased.
    renew : bool
        Whether rows go to files of other names, as a table demands whose readers know files by
        their names. They are there before the record names them; :func:`take_replaced` takes the
        others away.
    """
    told = read_facts(folder)
    if not change.is_known and change.erasure.number != len(told.get(ERASED, ())) + 1:
        raise StoreError(
            f"The run in '{folder}' was changed by another job meanwhile; it is as that left it, so"
            " run again"
        )
    for half in folder.glob("*.new"):
        # Whoever was stopped while writing it may have left names in it that are erased now.
        half.unlink()
    with ExitStack() as written:
        is_gone = change.is_of_reasons or are_reasons_gone(told)
        if change.row is not None or change.is_of_reasons:
            digests = {}
            for name in names_of(told):
                target = _renewed(name) if renew else name
                fresh = written.enter_context(replaced_whole(folder / target))
                with pq.ParquetFile(folder / name) as rows, fresh.open("wb") as file:
                    batches = rows.iter_batches(BATCH_ROWS)
                    if change.row is not None and account_id is not None:
                        batches = renamed_rows(batches, account_id, change.row)
                    with rows_writer(file, rows.schema_arrow) as parquet:
                        for batch in batches:
                            parquet.write_batch(without_reasons(batch) if is_gone else batch)
                    to_disk(file)
                shutil.copymode(folder / name, fresh)
                digests[target] = file_digest(fresh)
            if renew:
                told[WRITTEN] = told.get(WRITTEN, 1) + 1
                told.pop(FILE_DIGEST, None)
                written.close()
                folder_to_disk(folder)
            if renew or FILES in told:
                told[FILES] = digests
            elif FILE_DIGEST in told:
                told[FILE_DIGEST] = digests[ROWS]
        if not change.is_known:
            told[ERASED] = [*told.get(ERASED, []), change.erasure.kept()]
            told["facts"] = dict(change.facts)
        with replaced_whole(folder / FACTS) as facts, facts.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            to_disk(file)
    folder_to_disk(folder)


def _renewed(name: str) -> str:
    return f"{name.partition('.')[0]}.{secrets.token_hex(4)}.parquet"


def take_replaced(folder: Path, told: Mapping[str, Any]) -> None:
    """Take away what others took the place of, and what was stopped before it did.

    Any other file too many stays, and is noticed.
    """
    names = names_of(told)
    for file in folder.glob("scores*.parquet"):
        if file.name not in names and (WRITTEN in told or _RENEWED.fullmatch(file.name)):
            file.unlink(missing_ok=True)


class ParquetRun(RunWriter):
    """A folder that becomes a run when it is renamed.

    Parameters
    ----------
    draft : Path
        The folder.
    groups : dict of str to str
        Group of each signal that may be a reason.
    reading : callable
        Returns a connection to an engine that reads files of runs.
    speaking : callable
        Returns a context that turns complaints of the system into one sentence.
    commit : callable
        Takes the number of rows, facts, the digest of rows and what is kept of the file, and makes
        the folder a run.
    """

    def __init__(
        self,
        draft: Path,
        groups: Mapping[str, str],
        reading: Callable[[], duckdb.DuckDBPyConnection],
        speaking: Callable[[], AbstractContextManager[None]],
        commit: Callable[[int, Mapping[str, str], str, Json], Run],
    ) -> None:
        super().__init__(groups)
        self.draft, self.reading, self.speaking, self.commit = draft, reading, speaking, commit
        self.file = draft.joinpath(ROWS).open("wb")
        self.parquet = rows_writer(self.file, FILE_SCHEMA)

    def _write(self, batch: pa.RecordBatch) -> None:
        with self.speaking():
            self.parquet.write_batch(as_in_file(batch))

    def _written(self) -> Iterable[pa.RecordBatch]:
        with self.reading() as reading:
            query = f"select {SCORE_COLUMNS} from ({ROWS_OF_FILES}) as held order by account_id"
            file = glob.escape(str(self.draft / ROWS))
            for batch in reading.sql(query, params=[[file]]).to_arrow_reader(BATCH_ROWS):
                yield batch.cast(SCORE_SCHEMA)

    def _finish(self, facts: Mapping[str, str]) -> Run:
        with self.speaking():
            self.parquet.close()
            to_disk(self.file)
            self.file.close()
            self._refuse_twice()
            kept: Json = {FILE_DIGEST: file_digest(self.draft / ROWS)}
            return self.commit(self.rows, facts, self._rows_digest(), kept)

    def _refuse_twice(self) -> None:
        with self.reading() as reading:
            rows = REPEATED.format(rows="read_parquet(?)")
            file = glob.escape(str(self.draft / ROWS))
            repeated = reading.execute(rows, [file]).fetchall()
        if repeated:
            raise twice([account for (account,) in repeated])

    def close(self) -> None:
        """Let go of the file; what a full disk left of it was spoken of and is taken away."""
        with suppress(OSError, pa.ArrowException):
            self.parquet.close()
        with suppress(OSError):
            self.file.close()
