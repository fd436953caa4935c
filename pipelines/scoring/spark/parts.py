"""One part of a run, written by the worker that scored it: a file, and what is told of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import StoreError
from features.json_values import JsonReady
from models.training.fingerprint import RowsFingerprint
from pipelines.reports.terminal.whole_file import file_digest, to_disk
from pipelines.store.seals import RowsDigest
from pipelines.store.writer import FILE_SCHEMA, as_in_file, checked, rows_writer, twice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Part(JsonReady):
    """What a worker tells of the rows that it wrote.

    Attributes
    ----------
    number : int
        Place among the parts, in order of account.
    file : str
        Name of its file; each attempt at a part writes one of its own.
    rows : int
        How many.
    first, last : str
        The first and the last account.
    rows_digest, file_digest : str
        Of its rows, and of its file.
    sums : list of int
        What the signals that were read add to the fingerprint of all.
    refused : str
        Why the rows cannot be issued, in a sentence; empty where they can.
    """

    number: int
    file: str = ""
    rows: int = 0
    first: str = ""
    last: str = ""
    rows_digest: str = ""
    file_digest: str = ""
    sums: tuple[int, ...] = (0, 0)
    refused: str = ""


def write_part(
    folder: Path,
    number: int,
    scored: Iterable[tuple[pa.RecordBatch, NDArray[np.uint64]]],
    groups: Mapping[str, str],
) -> Part:
    """Write rows to a file that no other attempt writes.

    Parameters
    ----------
    folder : Path
        Where parts wait; it is taken away when the run is issued, or was not.
    number : int
        Place of the part.
    scored : iterable of (RecordBatch, ndarray)
        Scored rows in order of account, and the hash of each one's signals.
    groups : dict of str to str
        Group of each signal that may be a reason.

    Returns
    -------
    Part
        One that says why, where the rows break a rule of the store.
    """
    name = f"{number:06d}-{secrets.token_hex(8)}.parquet"
    digest, fingerprint, first, last = RowsDigest(), RowsFingerprint(), None, ""
    try:
        with (folder / name).open("xb") as file:
            with rows_writer(file, FILE_SCHEMA) as parquet:
                for batch, hashes in scored:
                    if not batch.num_rows:
                        continue
                    rows = checked(batch, groups)
                    accounts = rows.column("account_id")
                    _refuse_twice(accounts, None if first is None else last)
                    first = accounts[0].as_py() if first is None else first
                    last = accounts[-1].as_py()
                    parquet.write_batch(as_in_file(rows))
                    digest.update(rows)
                    fingerprint.update(hashes)
            to_disk(file)
    except StoreError as error:
        return Part(number, refused=str(error))
    except FileNotFoundError:
        return Part(number, refused=_unreached(folder))
    if first is None:
        return Part(number)
    return Part(
        number,
        name,
        digest.rows,
        first,
        last,
        digest.hexdigest(),
        file_digest(folder / name),
        fingerprint.sums,
    )


def _unreached(folder: Path) -> str:
    return (
        f"A worker of the cluster does not find '{folder}', where the rows of the run wait; set"
        " [store] url to a folder that every worker reaches under the same path"
    )


def _refuse_twice(accounts: pa.StringArray, before: str | None) -> None:
    if before is not None and before == accounts[0].as_py():
        raise twice([before])
    same = pc.equal(accounts[1:], accounts[:-1])
    if pc.any(same, min_count=0).as_py():
        raise twice(pc.unique(accounts[1:].filter(same)).to_pylist())
