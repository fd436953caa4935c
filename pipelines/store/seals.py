"""Seals of issued runs: a chain of digests, in which each run's seal holds the one before."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import StoreError
from features.json_values import Json
from pipelines.store.runs import Run
from pipelines.store.schema import ADDED_COLUMNS, SCORE_SCHEMA

FORM, FORM_OF_PARTS = 2, 3
"""Form of a seal: 1 was made before there were curves; those of later forms are refused."""
PARTS = "rows_of_parts"
"""The fact of a run that was digested in parts: how many rows each has, in order of account."""
SEAL_SCHEMA = pa.schema(
    [
        ("place", pa.int64()),
        ("form", pa.int32()),
        ("outcome", pa.string()),
        ("as_of", pa.date32()),
        ("model_version", pa.string()),
        ("revision", pa.int32()),
        ("unsealed", pa.int64()),
        ("seal_before", pa.string()),
        ("rows_digest", pa.string()),
        ("key_id", pa.string()),
        ("digest", pa.string()),
        ("seal", pa.string()),
    ]
)
"""One row per sealed run."""
ERASURE_SCHEMA = pa.schema(
    [
        *(SEAL_SCHEMA.field(name) for name in ("outcome", "as_of", "model_version", "revision")),
        ("number", pa.int32()),
        ("erased_at", pa.timestamp("us")),
        ("tombstone", pa.string()),
        ("rows_before", pa.string()),
        ("rows_after", pa.string()),
        ("digest_before", pa.string()),
        ("digest_after", pa.string()),
        ("key_id", pa.string()),
        ("seal", pa.string()),
    ]
)
"""One row per erasure that changed a run."""
_RUN = ("outcome", "as_of", "model_version", "revision")
_FLOAT, _LENGTH = np.dtype("<f8"), np.dtype("<i4")
_MISSING, _NONE = -1, np.copysign(np.nan, -1)


class RowsDigest:
    """SHA-256 of rows in order of ``account_id``, however they are cut into batches.

    Each column is hashed by itself, a text as its length and its bytes, so that equal digests mean
    equal values in equal places. What is missing counts as a number of its own; what is no number
    is never issued, and counts as another.

    Parameters
    ----------
    form : int
        Form of the seal: the first covers the columns that there were before curves.
    parts : sequence of int
        Rows of each part, where parts are digested apart: as :meth:`of_parts` puts them together.

    Attributes
    ----------
    rows : int
        Rows so far.
    is_ordered : bool
        Whether they came in order of account; the digest of others says nothing.
    """

    def __init__(self, form: int = FORM, parts: Sequence[int] = ()) -> None:
        self.rows = 0
        self.is_ordered = True
        self._last: str | None = None
        count = len(SCORE_SCHEMA) - (len(ADDED_COLUMNS) if form == 1 else 0)
        self._columns = [[hashlib.sha256() for _ in range(3)] for _ in range(count)]
        # A last one, for rows that are too many.
        self._parts = [RowsDigest(form) for _ in (*parts, 0)] if parts else []
        self._ends = list(accumulate(parts))

    @classmethod
    def of_run(cls, seal: Seal, run: Run) -> RowsDigest:
        """Begin the digest that a seal holds of a run's rows."""
        told = run.facts.get(PARTS, "") if seal.form == FORM_OF_PARTS else ""
        return cls(seal.form, [int(rows) for rows in re.findall("[0-9]{1,15}", told)])

    @staticmethod
    def of_parts(rows: int, digests: Iterable[str]) -> str:
        """Put the digests of parts together, those in order of account that have rows."""
        return hashlib.sha256(f"{rows} parts {' '.join(digests)}".encode()).hexdigest()

    def update(self, *batches: pa.RecordBatch) -> RowsDigest:
        """Add batches in the columns of :data:`~pipelines.store.schema.SCORE_SCHEMA`."""
        for batch in batches:
            if not batch.num_rows:
                continue
            self.rows += batch.num_rows
            self.is_ordered = self.is_ordered and self._follows(batch.column("account_id"))
            if self._parts:
                self._share(batch)
                continue
            columns = batch.columns[: len(self._columns)]
            for column, (counts, lengths, values) in zip(columns, self._columns, strict=True):
                if pa.types.is_list(column.type):
                    counts.update(_numbers(pc.list_value_length(column), _LENGTH))
                    column = column.flatten()
                if pa.types.is_string(column.type):
                    lengths.update(_numbers(pc.binary_length(column).fill_null(_MISSING), _LENGTH))
                    values.update(_characters(column))
                else:
                    values.update(_numbers(column, _FLOAT))
        return self

    def hexdigest(self) -> str:
        """Give the digest of all rows so far, as 64 hexadecimal digits."""
        if self._parts:
            return self.of_parts(self.rows, [each.hexdigest() for each in self._parts if each.rows])
        told = " ".join(part.hexdigest() for column in self._columns for part in column)
        return hashlib.sha256(f"{self.rows} {told}".encode()).hexdigest()

    def _share(self, batch: pa.RecordBatch) -> None:
        """Give rows to the parts that they belong to; they are counted already."""
        start = self.rows - batch.num_rows
        while batch.num_rows:
            number = bisect_right(self._ends, start)
            room = self._ends[number] - start if number < len(self._ends) else batch.num_rows
            self._parts[number].update(batch[:room])
            batch, start = batch[room:], start + room

    def _follows(self, accounts: pa.StringArray) -> bool:
        first, self._last = self._last, accounts[-1].as_py()
        if first is not None and accounts[0].as_py() < first:
            return False
        rising = pc.less_equal(accounts[:-1], accounts[1:])
        return bool(pc.all(rising, min_count=0).as_py())


@dataclass(frozen=True)
class Seal:
    """What shows that a run is as it was issued.

    Attributes
    ----------
    place : int
        Place in the chain, from 1: the order of issue, whatever the clocks said.
    form : int
        Form of the seal.
    outcome, as_of, model_version, revision
        Which run.
    unsealed : int
        Runs that the store held from before there were seals.
    seal_before : str
        Seal of the place before, empty for the first.
    rows_digest : str
        See :class:`RowsDigest`.
    key_id : str
        Names the key without telling it; empty where there was none.
    digest : str
        SHA-256 of all above and of the run's moment, facts and groups of signals.
    seal : str
        HMAC of the digest with the key (RFC 2104); the digest itself where there was none.
    """

    place: int
    form: int
    outcome: str
    as_of: date
    model_version: str
    revision: int
    unsealed: int
    seal_before: str
    rows_digest: str
    key_id: str
    digest: str
    seal: str

    @property
    def run(self) -> tuple[str, date, str, int]:
        """Which run it is of."""
        return self.outcome, self.as_of, self.model_version, self.revision

    def kept(self) -> Json:
        """Return what a file that tells which run it is of keeps of a seal beside that."""
        return {name: value for name, value in asdict(self).items() if name not in _RUN}


@dataclass(frozen=True)
class Erasure:
    """What the erasure of an account or a person changed in a run, and that it was meant.

    Attributes
    ----------
    outcome, as_of, model_version, revision
        Which run.
    number : int
        Of the erasures of this run, from 1.
    erased_at : datetime
        When, UTC without a zone.
    tombstone : str
        What stands in the place of the name.
    rows_before, rows_after : str
        See :class:`RowsDigest`.
    digest_before, digest_after : str
        See :func:`digest_of`; they differ where the facts of the run named what was erased.
    key_id, seal : str
        As of a seal: whoever has the key vouches for the change.
    """

    outcome: str
    as_of: date
    model_version: str
    revision: int
    number: int
    erased_at: datetime
    tombstone: str
    rows_before: str
    rows_after: str
    digest_before: str
    digest_after: str
    key_id: str = ""
    seal: str = ""

    @property
    def run(self) -> tuple[str, date, str, int]:
        """Which run it changed."""
        return self.outcome, self.as_of, self.model_version, self.revision

    def kept(self) -> Json:
        """Return what a file that tells which run it is of keeps of it."""
        kept = {name: value for name, value in asdict(self).items() if name not in _RUN}
        return kept | {"erased_at": self.erased_at.isoformat()}

    @classmethod
    def rows_of(cls, run: Mapping[str, object], kept: object) -> list[dict[str, object]]:
        """Return what :meth:`kept` gave of a run as rows of :data:`ERASURE_SCHEMA`."""
        named = {name: run[name] for name in _RUN}
        listed = kept if isinstance(kept, list) else []
        return [
            named | one | {"erased_at": datetime.fromisoformat(one["erased_at"])} for one in listed
        ]

    def sealed(self, key: bytes | None) -> Erasure:
        """Return it with its seal."""
        named = replace(self, key_id=key_id(key), seal="")
        return replace(named, seal=signed(named._digest(), key))

    def is_sound(self, key: bytes | None) -> bool:
        """Whether it is as it was written, as far as the key at hand can tell."""
        if self.key_id not in ("", key_id(key)):
            return True
        expected = signed(replace(self, seal="")._digest(), key if self.key_id else None)
        return hmac.compare_digest(expected.encode(), self.seal.encode())

    def _digest(self) -> str:
        text = json.dumps(
            asdict(self)
            | {"as_of": self.as_of.isoformat(), "erased_at": self.erased_at.isoformat()},
            sort_keys=True,
        )
        return hashlib.sha256(text.encode()).hexdigest()


def run_of(run: Run) -> tuple[str, date, str, int]:
    """Return what names a run among all."""
    return run.key.outcome, run.key.as_of, run.key.model_version, run.revision


def seal_run(
    run: Run,
    groups: Mapping[str, str],
    rows_digest: str,
    *,
    last: Seal | None,
    unsealed: int,
    key: bytes | None,
) -> Seal:
    """Seal a run.

    Parameters
    ----------
    run : Run
        The run.
    groups : dict of str to str
        Group of each signal that may be a reason.
    rows_digest : str
        Of its rows.
    last : Seal or None
        The end of the chain.
    unsealed : int
        Runs without a seal, counted when the chain begins.
    key : bytes or None
        Without it whoever can write the store can also seal anew what was changed.

    Raises
    ------
    StoreError
        When a later version sealed the last run.
    """
    if last is not None:
        refuse_later_seal(last)
    outcome, as_of, model_version, revision = run_of(run)
    seal = Seal(
        place=last.place + 1 if last else 1,
        form=FORM_OF_PARTS if PARTS in run.facts else FORM,
        outcome=outcome,
        as_of=as_of,
        model_version=model_version,
        revision=revision,
        unsealed=last.unsealed if last else unsealed,
        seal_before=last.seal if last else "",
        rows_digest=rows_digest,
        key_id=key_id(key),
        digest="",
        seal="",
    )
    digest = digest_of(seal, run, groups)
    return Seal(**asdict(seal) | {"digest": digest, "seal": signed(digest, key)})


def digest_of(seal: Seal, run: Run, groups: Mapping[str, str]) -> str:
    """Digest a run and its place in the chain: 64 hexadecimal digits."""
    described = asdict(seal) | {
        "issued_at": run.issued_at.isoformat(timespec="microseconds"),
        "rows": run.rows,
        "facts": dict(run.facts),
        "groups": dict(groups),
        "as_of": seal.as_of.isoformat(),
    }
    del described["digest"], described["seal"]
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def signed(digest: str, key: bytes | None) -> str:
    """Return the seal of a digest."""
    return digest if key is None else hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def key_id(key: bytes | None) -> str:
    """Name a key without telling it; no key has the empty name.

    Examples
    --------
    >>> key_id(None), key_id(b"secret")
    ('', 'fada66ff83adf569')
    """
    return "" if key is None else signed("key of healthscore seals", key)[:16]


def refuse_later_seal(seal: Seal) -> None:
    """Refuse a seal of a form that this version does not know.

    Raises
    ------
    StoreError
        When a later version made it.
    """
    if seal.form > FORM_OF_PARTS:
        raise StoreError(
            f"The scores of {seal.as_of} by model version {seal.model_version} (outcome"
            f" {seal.outcome}) bear a seal of form {seal.form}, of a later version of healthscore"
            f" than this one, which knows forms up to {FORM_OF_PARTS}; install that version"
        )


def _numbers(column: pa.Array, dtype: np.dtype[np.generic]) -> memoryview:
    """Return the numbers of a column as bytes; adding zero takes the sign off a zero."""
    known = column.fill_null(np.nan) if column.null_count else column
    numbers = known.to_numpy(zero_copy_only=False)
    if dtype == _FLOAT:
        numbers = np.where(np.isnan(numbers), np.nan, numbers + 0.0)
        numbers[np.asarray(pc.is_nan(column).fill_null(False))] = _NONE
    return np.ascontiguousarray(numbers, dtype).data.cast("B")


def _characters(column: pa.StringArray) -> memoryview | bytes:
    """Return the texts of a column one after the other, in UTF-8."""
    if column.null_count:
        column = column.drop_null()
    _, offsets, data = column.buffers()
    if not len(column) or data is None:
        return b""
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return memoryview(data)[ends[0] : ends[-1]]
