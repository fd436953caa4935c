"""What every store demands of the scores that are issued into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import StoreError, sample
from pipelines.store.schema import (
    ADDED_COLUMNS,
    DECIMALS,
    LISTS,
    POINT_COLUMNS,
    REASONS,
    RETIRED,
    SCORE_SCHEMA,
    days_kept,
)
from pipelines.store.seals import Erasure, RowsDigest

if TYPE_CHECKING:
    from models.arrays import Floats
    from pipelines.store.runs import Run


@dataclass(frozen=True)
class ErasedRun:
    """A run, and what becomes of it.

    Parameters
    ----------
    run : Run
        As it is.
    row : RecordBatch or None
        The account's row as it becomes; None where the run does not hold it, or its reasons are
        let go.
    facts : dict of str to str
        The facts as they become.
    erasure : Erasure
        What is kept of the change.
    is_known : bool
        Whether it is kept already: what was stopped is taken up again.
    """

    run: Run
    row: pa.RecordBatch | None
    facts: Mapping[str, str]
    erasure: Erasure
    is_known: bool = False

    @property
    def words(self) -> list[str | None]:
        """What is left of the words of its reasons."""
        row = self.row
        words: list[str | None] = [] if row is None else row.column("reason_values")[0].as_py()
        return words

    @property
    def is_of_reasons(self) -> bool:
        """Whether the reasons of all accounts are let go, and nobody is erased."""
        return days_kept(self.erasure.tombstone) is not None


class RunWriter(ABC):
    """Takes the batches of one run; :meth:`finish` makes all of them visible at once.

    Parameters
    ----------
    groups : dict of str to str
        Group of each signal that may be a reason.

    Attributes
    ----------
    rows : int
        Rows taken so far.
    """

    def __init__(self, groups: Mapping[str, str]) -> None:
        self.groups = groups
        self.rows = 0
        self._digest = RowsDigest()
        self._is_finished = False

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows.

        Parameters
        ----------
        batch : RecordBatch
            The columns of :data:`~pipelines.store.schema.SCORE_SCHEMA`, in any order.

        Raises
        ------
        StoreError
            When a column is missing or of another type, a value is missing or no number where
            there must be one, reasons do not fit together, or the store cannot be written.
        """
        if batch.num_rows:
            batch = checked(batch, self.groups)
            self._write(batch)
            self._digest.update(batch)
            self.rows += batch.num_rows

    def finish(self, facts: Mapping[str, str]) -> Run:
        """Make the run visible, with what it was made from.

        Raises
        ------
        AlreadyIssued
            When a rival issued the run in the meantime.
        StoreError
            When an account came twice, or the store cannot be written; nothing is then visible.
        """
        if self._is_finished:
            raise RuntimeError("a run is finished once")
        run = self._finish(facts)
        self._is_finished = True
        return run

    @abstractmethod
    def _write(self, batch: pa.RecordBatch) -> None: ...

    @abstractmethod
    def _finish(self, facts: Mapping[str, str]) -> Run: ...

    @abstractmethod
    def _written(self) -> Iterable[pa.RecordBatch]:
        """Read back what was written, in order of account."""

    def _rows_digest(self) -> str:
        if not self._digest.is_ordered:
            self._digest = RowsDigest()
            for batch in self._written():
                self._digest.update(batch)
        return self._digest.hexdigest()


def renamed_rows(
    batches: Iterable[pa.RecordBatch], account_id: str, row: pa.RecordBatch
) -> Iterator[pa.RecordBatch]:
    """Return rows in their order, another in the place of an account's."""
    for batch in batches:
        place = pc.index(batch.column("account_id"), account_id).as_py()
        if place < 0:
            yield batch
            continue
        other = row.select(batch.schema.names).cast(batch.schema)
        yield from (batch[:place], other, batch[place + 1 :])


def checked(batch: pa.RecordBatch, groups: Mapping[str, str]) -> pa.RecordBatch:
    """Return the batch in the columns and types of an issued score.

    What may be unknown and is no number becomes null, so that sums over it stay numbers.

    Raises
    ------
    StoreError
        When it cannot be one.
    """
    batch = _in_schema(batch)
    for field, column in zip(SCORE_SCHEMA, batch.columns, strict=True):
        if not field.nullable and column.null_count:
            raise _broken(batch, field.name, pc.is_null(column), "must be known and is missing")
        if field.nullable or not pa.types.is_floating(field.type):
            continue
        finite = pc.is_finite(column)
        if not pc.all(finite).as_py():
            raise _broken(batch, field.name, pc.invert(finite), "must be a number and is none")
    _check_reasons(batch, groups)
    for place, field in enumerate(SCORE_SCHEMA):
        if field.nullable:
            column = batch.column(place)
            batch = batch.set_column(place, field, pc.if_else(pc.is_finite(column), column, None))
    return with_decimals(batch)


def with_decimals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Cut numbers to the decimals that a score is issued with; baseline and points still add up.

    What points of groups lose is put to the baseline. Twice cut is cut once.

    Parameters
    ----------
    batch : RecordBatch of n rows
        In the columns and types of an issued score.
    """
    lost = np.zeros(batch.num_rows)
    for name in ("score", *POINT_COLUMNS):
        exact = batch.column(name).to_numpy(zero_copy_only=False)
        cut = exact - _cut(exact, DECIMALS[name])
        lost += cut if name in POINT_COLUMNS else -cut
    # A number that somebody took out of a store has nothing to add.
    lost = np.nan_to_num(lost)
    for place, field in enumerate(SCORE_SCHEMA):
        decimals, column = DECIMALS.get(field.name), batch.column(place)
        if decimals is None:
            continue
        values = column.values if pa.types.is_list(field.type) else column
        exact = values.to_numpy(zero_copy_only=False)
        added = lost if field.name == "baseline_score" else 0.0
        mask = None if not values.null_count else values.is_null().to_numpy(zero_copy_only=False)
        fresh = pa.array(_cut(exact + added, decimals), pa.float64(), mask=mask)
        if pa.types.is_list(field.type):
            fresh = pa.ListArray.from_arrays(column.offsets, fresh)
        batch = batch.set_column(place, field, fresh)
    return batch


def _cut(numbers: Floats, decimals: int) -> Floats:
    """Round to decimals; a quotient of whole numbers is the double nearest to the decimal."""
    unit = 10.0**decimals
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(numbers * unit)
        # What has no decimals left, or no number, stays.
        return np.where(np.abs(whole) < 2.0**53, whole / unit, numbers)


def _in_schema(batch: pa.RecordBatch) -> pa.RecordBatch:
    for name in ADDED_COLUMNS:
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.nulls(batch.num_rows, pa.float64()))
    if RETIRED not in batch.schema.names:
        batch = batch.append_column(RETIRED, pa.array([""] * batch.num_rows, pa.string()))
    given = set(batch.schema.names)
    wrong = sorted(given.symmetric_difference(SCORE_SCHEMA.names))
    if wrong or batch.num_columns != len(SCORE_SCHEMA):
        raise StoreError(
            f"Scores must have the columns of SCORE_SCHEMA once each, and {sample(wrong, 5)} are"
            " missing or too many; correct the batch"
        )
    arrays = []
    for field in SCORE_SCHEMA:
        try:
            arrays.append(batch.column(field.name).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise StoreError(
                f"Scores must hold {field.type} in column '{field.name}', found"
                f" {batch.column(field.name).type}; correct the batch"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=SCORE_SCHEMA)


def _check_reasons(batch: pa.RecordBatch, groups: Mapping[str, str]) -> None:
    signals, points, values = (batch.column(name) for name in LISTS)
    length = pc.list_value_length(signals)
    unlike = pc.or_(
        pc.not_equal(length, pc.list_value_length(points)),
        pc.not_equal(length, pc.list_value_length(values)),
    )
    unfit = pc.or_(unlike, pc.greater(length, REASONS))
    if pc.any(unfit).as_py():
        rule = f"must be at most {REASONS}, with as many points and values, and are not"
        raise _broken(batch, "reason_signals", unfit, rule)
    flat = pc.list_flatten(points)
    if flat.null_count or not pc.all(pc.is_finite(flat), min_count=0).as_py():
        raise StoreError("Scores must have numbers in 'reason_points'; correct the batch")
    named = pc.unique(pc.list_flatten(signals)).to_pylist()
    unknown = [name for name in named if name not in groups]
    if unknown:
        raise StoreError(
            f"The group of the signals {sample(unknown)} is not given; issue the run with the"
            " group of every signal that may be a reason"
        )


def _broken(batch: pa.RecordBatch, column: str, where: pa.BooleanArray, rule: str) -> StoreError:
    accounts = batch.column("account_id").filter(where).to_pylist()
    return StoreError(
        f"'{column}' of a score {rule}, in {len(accounts)} rows (accounts {sample(accounts)});"
        " nothing was issued"
    )


def twice(accounts: list[str]) -> StoreError:
    """Say that accounts came more than once in a run."""
    return StoreError(
        f"The scores hold the account {sample(accounts)} more than once, and each has one score"
        " per run; nothing was issued, so make the accounts of the tables unique and run again"
    )


DIGITS = 18
"""Of a decimal: as many as eight bytes hold."""


def _in_file(field: pa.Field) -> pa.Field:
    decimals = DECIMALS.get(field.name)
    if decimals is None:
        return field
    kind = pa.decimal128(DIGITS, decimals)
    return field.with_type(pa.list_(kind) if pa.types.is_list(field.type) else kind)


FILE_SCHEMA = pa.schema([_in_file(field) for field in SCORE_SCHEMA])
"""The columns of an issued score as a Parquet file holds them."""


def as_in_file(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return issued scores in the types of :data:`FILE_SCHEMA`.

    Raises
    ------
    StoreError
        When a number is too large for them.
    """
    try:
        return batch.cast(FILE_SCHEMA)
    except pa.ArrowInvalid as error:
        raise StoreError(
            f"A number of these scores has more than {DIGITS} digits with its decimals, which a"
            f" Parquet file of scores cannot hold ({error}); correct it in the tables"
        ) from error


def rows_writer(file: IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    """Write rows so that a decimal takes as many bits as its digits need."""
    lists = {field.name for field in schema if pa.types.is_list(field.type)}
    kinds = {
        each.name: each.type.value_type if each.name in lists else each.type for each in schema
    }
    leaves = {name: f"{name}.list.element" if name in lists else name for name in kinds}
    decimals = [name for name, kind in kinds.items() if pa.types.is_decimal(kind)]
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=[leaf for name, leaf in leaves.items() if name not in decimals],
        column_encoding={leaves[name]: "DELTA_BINARY_PACKED" for name in decimals},
        store_decimal_as_integer=True,
    )
