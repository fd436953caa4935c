"""Write an issued run to a file that customer-success tools and spreadsheets read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import SettingsError
from features.json_values import JsonReady
from pipelines.project.project import Project
from pipelines.reports.terminal.progress import show_rows
from pipelines.reports.terminal.whole_file import replaced_whole

if TYPE_CHECKING:
    import pyarrow as pa

    from features.catalog import Signal
    from pipelines.scoring.export_files import Export
    from pipelines.store.runs import Run


@dataclass(frozen=True)
class Exported(JsonReady):
    """An export that was written.

    Parameters
    ----------
    file : str
        Where it is.
    rows : int
        Accounts in it.
    columns : list of str
        Its columns, in order.
    outcome, as_of, model_version, revision, issued_at
        Which run it holds; ``issued_at`` in ISO, UTC.
    let_go : str or None
        Why the columns of reasons are empty, where they are asked for and no longer kept.
    """

    file: str
    rows: int
    columns: list[str]
    outcome: str
    as_of: str
    model_version: str
    revision: int
    issued_at: str
    let_go: str | None = None


def export_scores(
    project: Project,
    file: Path,
    *,
    as_of: date | None = None,
    model_version: str | None = None,
    revision: int | None = None,
    columns: Sequence[str] | None = None,
) -> Exported:
    """Write the scores of an issued run, whole or not at all.

    Parameters
    ----------
    project : Project
        The configuration, of the outcome whose scores are wanted.
    file : Path
        Where to write, as CSV, XLSX or Parquet by its suffix; what was there is replaced.
    as_of : date, optional
        The run's date; the newest when None.
    model_version, revision
        Which of that date's runs; the one issued last when None.
    columns : sequence of str, optional
        Names out of :data:`~pipelines.scoring.export_rows.COLUMNS`, in the order wanted; all when
        None.

    Raises
    ------
    SettingsError
        When the suffix or a column is none there is, or a workbook cannot hold the run.
    StoreError
        When no such run was issued, or the store cannot be read.
    RegistryError
        When reasons are wanted in sentences and the run's model is gone.
    OSError
        When the file cannot be written.
    """
    from pipelines.scoring import export_files
    from pipelines.scoring.export_rows import chosen_columns, export_batches, stored_columns
    from pipelines.store.issued import issued_run, reasons_note
    from pipelines.store.opening import open_store

    write: dict[str, Callable[[Export, Path], None]] = {
        ".csv": export_files.write_csv,
        ".xlsx": export_files.write_xlsx,
        ".parquet": export_files.write_parquet,
    }
    if file.suffix.lower() not in write:
        raise SettingsError(
            f"An export is written as {', '.join(write)}, and '{file}' ends in '{file.suffix}';"
            " name another file"
        )
    chosen = chosen_columns(columns)
    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name, as_of, model_version, revision)
        is_said = any(column.is_sentence for column in chosen)
        let_go = (
            reasons_note(store.erasures(), run) if any(column.rank for column in chosen) else None
        )
        signals = _catalogue(project, run) if is_said else {}
        stored = store.scores(run, columns=stored_columns(chosen))
        with show_rows("Export", run.rows) as done:
            batches = _counted(export_batches(stored, run, chosen, signals), done)
            export = export_files.Export(run, chosen, batches)
            try:
                with replaced_whole(file) as fresh:
                    write[file.suffix.lower()](export, fresh)
            except OSError as error:
                # The libraries name a draft of the file, or none.
                said = os.strerror(error.errno) if error.errno else str(error)
                raise OSError(error.errno, said, str(file)) from error
    return Exported(
        file=str(file),
        rows=run.rows,
        columns=[column.name for column in chosen],
        outcome=run.key.outcome,
        as_of=run.key.as_of.isoformat(),
        model_version=run.key.model_version,
        revision=run.revision,
        issued_at=f"{run.issued_at.isoformat()}Z",
        let_go=let_go,
    )


def _catalogue(project: Project, run: Run) -> dict[str, Signal]:
    """Read the signals of the run's model, in whose words its reasons are said."""
    model = project.registry.version(run.key.model_version).model
    return {signal.name: signal for signal in model.signals}


def _counted(
    batches: Iterator[pa.RecordBatch], done: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        done(batch.num_rows)
