"""Issued scores as one flat row per account, as customer-success tools import them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import RegistryError, SettingsError, nearest, sample
from pipelines.store.schema import ADDED_COLUMNS, COLUMN_NOTES, SCORE_SCHEMA, SHOWN

if TYPE_CHECKING:
    from features.catalog import Signal
    from pipelines.store.runs import Run

# Sentences repeat from account to account: "is not known", small counts, whole percents.
REMEMBERED = 100_000
_STORED_LISTS = ("reason_signals", "reason_points", "reason_values")
_PLAIN = [
    SCORE_SCHEMA.field(name) for name in SHOWN if name not in (*_STORED_LISTS, *ADDED_COLUMNS)
]
_PLACES = ("largest", "second largest", "third largest", "fourth largest", "fifth largest")


@dataclass(frozen=True)
class Column:
    """One column of an export.

    Parameters
    ----------
    name : str
        Its heading; it stays the same from version to version.
    kind : pa.DataType
        Type of its values.
    note : str
        What it holds, in a sentence.
    reads : tuple of str
        Columns of the store it is made from; none where it tells of the run.
    rank : int
        Which reason it tells of, from 1; 0 where it tells of none.
    """

    name: str
    kind: pa.DataType
    note: str
    reads: tuple[str, ...] = ()
    rank: int = 0

    @property
    def is_sentence(self) -> bool:
        """Whether it takes the words of the model's catalogue."""
        return len(self.reads) > 1


def _reason_columns(rank: int, place: str) -> list[Column]:
    empty = "empty where there is none"
    text, number = pa.string(), pa.float64()
    return [
        Column(
            f"reason_{rank}",
            text,
            f"The signal with the {place} points, up or down, in a sentence; {empty}.",
            _STORED_LISTS,
            rank,
        ),
        Column(
            f"reason_{rank}_signal",
            text,
            f"Name of that signal; {empty}.",
            _STORED_LISTS[:1],
            rank,
        ),
        Column(
            f"reason_{rank}_value",
            text,
            "What was known of it on the date; empty where nothing was.",
            _STORED_LISTS[2:],
            rank,
        ),
        Column(
            f"reason_{rank}_points",
            number,
            f"Points it adds to the score, or takes from it; {empty}.",
            _STORED_LISTS[1:2],
            rank,
        ),
    ]


COLUMNS: tuple[Column, ...] = (
    *(Column(f.name, f.type, COLUMN_NOTES[f.name], (f.name,)) for f in _PLAIN),
    *(
        column
        for rank, place in enumerate(_PLACES, start=1)
        for column in _reason_columns(rank, place)
    ),
    Column("outcome", pa.string(), "Name of the outcome whose probability the score tells."),
    Column("as_of", pa.date32(), "Date the score speaks of: only what was known before it counts."),
    Column("model_version", pa.string(), "Version of the model that made the score."),
    Column("revision", pa.int32(), "Revision of the run, from 1; a forced run is a new one."),
    Column("issued_at", pa.timestamp("us", tz="UTC"), "Moment the score was issued, in UTC."),
    *(Column(name, pa.float64(), COLUMN_NOTES[name], (name,)) for name in ADDED_COLUMNS),
)
"""Every column an export can have, in the order it has them."""


def chosen_columns(names: Sequence[str] | None) -> tuple[Column, ...]:
    """Look up the columns of an export, in the order they are named; all of them for None.

    Raises
    ------
    SettingsError
        When there is no such column, none is named, or one is named twice.

    Examples
    --------
    >>> [column.name for column in chosen_columns(["account_id", "score"])]
    ['account_id', 'score']
    """
    if names is None:
        return COLUMNS
    known = {column.name: column for column in COLUMNS}
    unknown = [name for name in names if name not in known]
    if unknown:
        hint = nearest(unknown[0], known) or f"; there are {sample(known, 8)}"
        raise SettingsError(f"An export has no column {sample(unknown)}{hint}")
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice or not names:
        problem = f"{sample(twice)} twice" if twice else "none"
        raise SettingsError(
            f"The columns of an export must be named once each, and --columns names {problem};"
            " correct it"
        )
    return tuple(known[name] for name in names)


def export_schema(columns: Sequence[Column]) -> pa.Schema:
    """Describe an export to Arrow; each field carries its note as ``description``."""
    return pa.schema(
        [pa.field(one.name, one.kind, metadata={"description": one.note}) for one in columns]
    )


def stored_columns(columns: Sequence[Column]) -> list[str]:
    """List what has to be read from the store, the account always."""
    read = {"account_id"}.union(*(column.reads for column in columns))
    return [name for name in SCORE_SCHEMA.names if name in read]


def export_batches(
    stored: pa.RecordBatchReader,
    run: Run,
    columns: Sequence[Column],
    signals: Mapping[str, Signal],
) -> Iterator[pa.RecordBatch]:
    """Turn the stored rows of a run into rows of an export, batch by batch.

    Parameters
    ----------
    stored : RecordBatchReader
        At least :func:`stored_columns`.
    run : Run
        The run they are of.
    columns : sequence of Column
        What to give, in order.
    signals : dict of str to Signal
        The catalogue of the run's model, by name; read for sentences alone.

    Raises
    ------
    RegistryError
        When a reason's signal is not in the catalogue.
    """
    schema = export_schema(columns)
    about = {
        "outcome": run.key.outcome,
        "as_of": run.key.as_of,
        "model_version": run.key.model_version,
        "revision": run.revision,
        "issued_at": run.issued_at,
    }
    say = _Sayer(signals, run)
    for batch in stored:
        arrays = [_values(column, batch, about, say) for column in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _values(
    column: Column, batch: pa.RecordBatch, about: Mapping[str, object], say: _Sayer
) -> pa.Array:
    held = [batch.column(name) for name in column.reads]
    if not held:
        return pa.repeat(pa.scalar(about[column.name], column.kind), batch.num_rows)
    if column.rank:
        held = [_nth(lists, column.rank) for lists in held]
    return say.each(*held) if column.is_sentence else held[0]


def _nth(lists: pa.ListArray, rank: int) -> pa.Array:
    """Take the rank-th of each list, null where it is shorter."""
    starts, ends = lists.offsets[:-1], lists.offsets[1:]
    place = pc.add(starts, rank - 1)
    return lists.values.take(pc.if_else(pc.less(place, ends), place, None))


class _Sayer:
    """Says stored reasons in the words of the catalogue that their model was trained with."""

    def __init__(self, signals: Mapping[str, Signal], run: Run) -> None:
        self.signals = signals
        self.run = run
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._say)

    def each(self, names: pa.Array, points: pa.Array, values: pa.Array) -> pa.Array:
        """Say one reason per row, null where there is none."""
        # A sentence shows one decimal of the points, so by that it is remembered.
        said = [
            None if name is None else self._remembered(name, value, round(point, 1))
            for name, point, value in zip(
                names.to_pylist(), points.to_pylist(), values.to_pylist(), strict=True
            )
        ]
        return pa.array(said, pa.string())

    def _say(self, name: str, value: str | None, points: float) -> str:
        from models.scoring.reasons import sentence

        signal = self.signals.get(name)
        if signal is None:
            raise RegistryError(
                f"The scores of {self.run.key} were issued with signal {name[:60]!r}, which that"
                " version in the registry does not know; set the registry they were issued with,"
                " or leave the sentences out with --columns"
            )
        return sentence(signal, value, points)
