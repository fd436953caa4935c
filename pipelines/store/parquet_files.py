"""The files of one run in a folder of Parquet: what they hold, and what is kept of them."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from features.errors import StoreError
from features.json_values import Json
from pipelines.reports.terminal.whole_file import (
    file_digest,
    folder_to_disk,
    replaced_whole,
    to_disk,
)
from pipelines.store.duckdb import BATCH_ROWS, MEMORY, spill_folder
from pipelines.store.runs import Run
from pipelines.store.schema import SCORE_SCHEMA, days_kept, without_reasons
from pipelines.store.seals import SEAL_SCHEMA
from pipelines.store.tables import STORE_VERSION
from pipelines.store.writer import ErasedRun, renamed_rows, rows_writer

ROWS, FACTS = "scores.parquet", "_run.json"
FILE_DIGEST, ERASED = "file_sha256", "erasures"
FILES = "files_sha256"
"""Of a run in several files: the digest of each, by its name."""
_NO_REASONS = "[]::varchar[] as reason_signals, []::double[] as reason_points"
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


def files_of(folder: Path, told: Mapping[str, Any]) -> list[str]:
    """Name the files of a run as the engine takes them."""
    return [f"{glob.escape(str(folder))}/{glob.escape(name)}" for name in told.get(FILES, (ROWS,))]


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


def erase(folder: Path, change: ErasedRun, account_id: str | None) -> None:
    """Write what is kept of an erasure, and then the rows: what is between is seen.

    Whatever was stopped before, files of a run whose reasons were let go hold none afterwards.
    """
    told = read_facts(folder)
    if not change.is_known and change.erasure.number != len(told.get(ERASED, ())) + 1:
        raise StoreError(
            f"The run in '{folder}' was changed by another job meanwhile; it is as that left it, so"
            " run again"
        )
    with ExitStack() as written:
        is_gone = change.is_of_reasons or are_reasons_gone(told)
        if change.row is not None or change.is_of_reasons:
            for name in told.get(FILES, (ROWS,)):
                fresh = written.enter_context(replaced_whole(folder / name))
                with pq.ParquetFile(folder / name) as rows, fresh.open("wb") as file:
                    batches = rows.iter_batches(BATCH_ROWS)
                    if change.row is not None and account_id is not None:
                        batches = renamed_rows(batches, account_id, change.row)
                    with rows_writer(file, rows.schema_arrow) as parquet:
                        for batch in batches:
                            parquet.write_batch(without_reasons(batch) if is_gone else batch)
                    to_disk(file)
                if FILES in told:
                    told[FILES][name] = file_digest(fresh)
                elif FILE_DIGEST in told:
                    told[FILE_DIGEST] = file_digest(fresh)
        if not change.is_known:
            told[ERASED] = [*told.get(ERASED, []), change.erasure.kept()]
            told["facts"] = dict(change.facts)
        with replaced_whole(folder / FACTS) as facts, facts.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            to_disk(file)
    folder_to_disk(folder)
