"""A worklist as a file: the calls that the panel and the portfolio page show, to be worked from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.errors import SettingsError
from pipelines.portfolio.outbox.book import opened_book, reader_of
from pipelines.portfolio.worklist.calls import SAID, Call
from pipelines.project.project import Project
from pipelines.project.records.calls import Standing, call_book, told
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.scoring import export_files
from pipelines.scoring.export_rows import Column, export_schema
from pipelines.store.runs import now

if TYPE_CHECKING:
    from pipelines.store.runs import Run

TEXT, NUMBER = pa.string(), pa.float64()
_SENTENCE = ("reason_signals", "reason_points")
COLUMNS: tuple[Column, ...] = (
    Column("rank", pa.int32(), "Place on the worklist, from 1."),
    Column("account_id", TEXT, "The account, as it is named in the accounts table."),
    Column("name", TEXT, "What people call it; empty where that is not known."),
    Column("owner", TEXT, "Who looks after it; empty where nobody does."),
    Column("segment", TEXT, "The segment whose weights scored it."),
    Column("band", TEXT, "Band of its probability."),
    Column("score", NUMBER, "Health score from 0 to 100."),
    Column("change", NUMBER, "Points since the run of the date before; empty where it is new."),
    Column("probability", NUMBER, "Chance, from 0 to 1, of the outcome in the outcome window."),
    Column("arr", NUMBER, "Twelve times its MRR; empty where that is not known."),
    Column("expected_loss", NUMBER, "Chance times ARR, by which the worklist is ranked."),
    Column("renewal", pa.date32(), "When its contract renews next; empty where not known."),
    *(
        Column(f"reason_{rank}", TEXT, "A reason that can be acted on, by name.", _SENTENCE)
        for rank in range(1, SAID + 1)
    ),
    Column("play", TEXT, "What the configuration does about the largest of them.", _SENTENCE),
    Column("state", TEXT, "What was done about it, when and by whom; empty where nothing was."),
    Column("note", TEXT, "What was noted then.", _SENTENCE),
    Column("as_of", pa.date32(), "Date of the scores."),
    Column("model_version", TEXT, "Version of the model that made them."),
)
"""Columns of a worklist, in every kind of file."""


@dataclass(frozen=True)
class WrittenWorklist:
    """A worklist that was written.

    Parameters
    ----------
    file : str
        Where it is.
    rows : int
        Accounts in it.
    owner : str or None
        Whose it is; None where it is everybody's.
    outcome, as_of, model_version
        Which scores it is made of.
    outdated : str or None
        What the clock says of them, where they are not of today.
    """

    file: str
    rows: int
    owner: str | None
    outcome: str
    as_of: str
    model_version: str
    outdated: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return what ``export --worklist --json`` prints."""
        return asdict(self)


def write_worklist(
    project: Project, file: Path, *, as_of: date | None, owner: str | None, first: int
) -> WrittenWorklist:
    """Write who to call first, why and what to do, whole or not at all.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    file : Path
        A .csv, .xlsx or .parquet file.
    as_of : date or None
        The run's date; the newest when None.
    owner : str or None
        Whose accounts; everybody's when None.
    first : int
        Most accounts.

    Raises
    ------
    SettingsError
        When the suffix is none there is, or no column names owners.
    DataError
        When nobody of that name looks after an account.
    StoreError
        When no such run was issued, or the store cannot be read.
    OSError
        When the file cannot be written.
    """
    from pipelines.dashboard.snapshot.calls import calls_of
    from pipelines.dashboard.snapshot.query import AccountQuery
    from pipelines.reports.freshness import freshness_of

    write: dict[str, Callable[[export_files.Export, Path], None]] = {
        ".csv": export_files.write_csv,
        ".xlsx": export_files.write_xlsx,
        ".parquet": export_files.write_parquet,
    }
    if file.suffix.lower() not in write:
        raise SettingsError(
            f"A worklist is written as {', '.join(write)}, and '{file}' ends in '{file.suffix}';"
            " name another file"
        )
    with opened_book(project, as_of) as book:
        reader = reader_of(project, book, owner)
        opened = calls_of(book, reader, project, AccountQuery(size=first))
        run = book.run
    standings = call_book(project.folder).standings(now().date())
    rows = _rows([one.call for one in opened], run, standings)
    export = export_files.Export(replace(run, rows=rows.num_rows), COLUMNS, [rows], "Worklist")
    with replaced_whole(file) as fresh:
        write[file.suffix.lower()](export, fresh)
    return WrittenWorklist(
        file=str(file),
        rows=rows.num_rows,
        owner=owner,
        outcome=run.key.outcome,
        as_of=run.key.as_of.isoformat(),
        model_version=run.key.model_version,
        outdated=freshness_of(project.settings.outcome, run.key.as_of).note,
    )


def _rows(calls: Sequence[Call], run: Run, standings: Mapping[str, Standing]) -> pa.RecordBatch:
    """Arrange calls; numbers as people read them, for a cell is no place for fifteen digits."""
    rows = [
        {
            "rank": rank,
            "account_id": call.account_id,
            "name": call.name,
            "owner": call.owner,
            "segment": segment_words(call.segment),
            "band": call.band,
            "score": round(call.score, 1),
            "change": _rounded(call.change, 1),
            "probability": round(call.probability, 4),
            "arr": _rounded(call.arr, 2),
            "expected_loss": _rounded(call.stake, 2),
            "renewal": call.renewal,
            **{
                f"reason_{place}": call.sentences[place - 1]
                for place in range(1, SAID + 1)
                if place <= len(call.sentences)
            },
            "play": call.play,
            "state": told(standings, call.account_id)[0],
            "note": told(standings, call.account_id)[1],
            "as_of": run.key.as_of,
            "model_version": run.key.model_version,
        }
        for rank, call in enumerate(calls, start=1)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=export_schema(COLUMNS))


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)
