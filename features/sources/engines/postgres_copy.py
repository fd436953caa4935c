"""Rows to and from PostgreSQL as CSV, the fastest way in and out that Arrow writes by itself."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv


def to_csv(batch: pa.RecordBatch) -> bytes:
    r"""Write a batch as ``COPY ... FROM STDIN (FORMAT csv)`` reads it.

    An empty field is NULL and a quoted one is text; lists become array literals.

    Examples
    --------
    >>> to_csv(pa.record_batch({"a": ["x", None, "z"], "b": [["y", None], [], None]}))
    b'"x","{""y"",NULL}"\n,"{}"\n"z",\n'
    """
    arrays = [
        _literals(column) if pa.types.is_list(column.type) else column for column in batch.columns
    ]
    sink = io.BytesIO()
    pa_csv.write_csv(
        pa.RecordBatch.from_arrays(arrays, names=batch.schema.names),
        sink,
        pa_csv.WriteOptions(include_header=False, batch_size=batch.num_rows or 1),
    )
    return sink.getvalue()


def _literals(lists: pa.ListArray) -> pa.StringArray:
    """Write lists as array literals, in which a backslash stands before what it escapes."""
    flat = lists.flatten()
    if pa.types.is_string(flat.type):
        escaped = pc.replace_substring(pc.replace_substring(flat, "\\", "\\\\"), '"', '\\"')
        flat = pc.binary_join_element_wise('"', escaped, '"', "")
    text = pc.fill_null(flat.cast(pa.string()), "NULL")
    lengths = pc.list_value_length(lists).fill_null(0)
    ends = np.cumsum(lengths.to_numpy(zero_copy_only=False), dtype=np.int32)
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, text), ",")
    written = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(lists.is_valid(), written, None)


def flat_columns(schema: pa.Schema, most: int) -> str:
    """List what to select for :func:`from_csv`: of a list its length and each element.

    Parameters
    ----------
    schema : Schema
        The columns.
    most : int
        Most elements of a list.

    Examples
    --------
    >>> flat_columns(pa.schema([("a", pa.string()), ("b", pa.list_(pa.string()))]), 2)
    'a, cardinality(b), b[1], b[2]'
    """
    parts = []
    for field in schema:
        if pa.types.is_list(field.type):
            parts += [f"cardinality({field.name})"]
            parts += [f"{field.name}[{place}]" for place in range(1, most + 1)]
        else:
            parts.append(field.name)
    return ", ".join(parts)


def from_csv(
    blocks: Iterable[bytes | bytearray | memoryview], schema: pa.Schema, block_size: int, most: int
) -> Iterator[pa.RecordBatch]:
    """Read what ``COPY (SELECT ...) TO STDOUT (FORMAT csv)`` writes of :func:`flat_columns`.

    Parameters
    ----------
    blocks : iterable of bytes-like
        The stream.
    schema : Schema
        Columns before lists were laid out.
    block_size : int
        Bytes that become one batch.
    most : int
        Most elements of a list.
    """
    stream = iter(blocks)
    first = next((block for block in stream if len(block)), None)
    if first is None:
        return
    types: dict[str, pa.DataType] = {}
    for field in schema:
        if pa.types.is_list(field.type):
            types[f"{field.name} length"] = pa.int32()
            for place in range(most):
                types[f"{field.name} {place}"] = field.type.value_type
        else:
            types[field.name] = field.type
    reader = pa_csv.open_csv(
        _Stream(chain([first], stream)),
        pa_csv.ReadOptions(column_names=list(types), block_size=block_size, use_threads=False),
        pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    for flat in reader:
        arrays = [
            _lists(flat, field, most) if pa.types.is_list(field.type) else flat.column(field.name)
            for field in schema
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _lists(flat: pa.RecordBatch, field: pa.Field, most: int) -> pa.ListArray:
    """Put the elements of a row, which came in columns, one after the other."""
    lengths = flat.column(f"{field.name} length").to_numpy(zero_copy_only=False)
    columns = [flat.column(f"{field.name} {place}") for place in range(most)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    rows, places = np.nonzero(np.arange(most) < lengths[:, None])
    values = pa.concat_arrays(columns).take(pa.array(places * flat.num_rows + rows))
    return pa.ListArray.from_arrays(pa.array(offsets), values).cast(field.type)


class _Stream(io.RawIOBase):
    """Blocks of bytes as a file."""

    def __init__(self, blocks: Iterator[bytes | bytearray | memoryview]) -> None:
        super().__init__()
        self.blocks = blocks
        self.left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        """Fill the room, so that blocks become batches of an even size."""
        filled = 0
        while filled < len(room):
            if not len(self.left):
                block = next(self.blocks, None)
                if block is None:
                    break
                self.left = memoryview(block)
            taken = min(len(room) - filled, len(self.left))
            room[filled : filled + taken] = self.left[:taken]
            self.left = self.left[taken:]
            filled += taken
        return filled
