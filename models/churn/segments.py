"""Which segment a row belongs to, and which segments are too small to speak for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.catalog import EVERYBODY
from features.errors import DataError, sample
from features.json_values import JsonReady
from models.arrays import Codes
from models.churn.coded import Rows

ALL = "all accounts"
NO_OWN = "no segment of its own"
BETWEEN = " / "
OWN_COLUMN = "segment"


@dataclass(frozen=True)
class SegmentSettings:
    """How accounts are split.

    Parameters
    ----------
    columns : tuple of str
        Columns whose values are combined, such as ``("plan",)`` to "plan=starter". With neither
        columns nor lifecycle the frame's own ``segment`` column is taken as it is, and without
        one there is a single segment.
    lifecycle : tuple of (str, int or None)
        Stages with the days of tenure each lasts until, shortest first; None for the last. After
        the last limit a row has no stage: ``(("onboarding", 90),)`` gives
        "plan=starter / onboarding" and, later, "plan=starter".
    tenure_column : str
        Days since the account began; read only for a lifecycle.
    min_rows, min_positives : int
        A segment with less joins its parent: the label without its last key.
    """

    columns: tuple[str, ...] = ()
    lifecycle: tuple[tuple[str, int | None], ...] = ()
    tenure_column: str = "tenure_days"
    min_rows: int = 200
    min_positives: int = 30

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns a frame must have for its rows to be assigned."""
        return self.columns + ((self.tenure_column,) if self.lifecycle else ())


@dataclass(frozen=True)
class SegmentAssignment(JsonReady):
    """A fitted assignment, used as it is when scoring.

    Attributes
    ----------
    settings : SegmentSettings
        How labels are formed.
    names : tuple of str
        Segments that were large enough.
    merged : tuple of str
        One sentence per label that joined its parent.

    Examples
    --------
    >>> frame = pd.DataFrame({"plan": ["pro"] * 4 + ["free"], "happened": [1, 0, 1, 0, 1]})
    >>> fitted = assign_segments(frame, SegmentSettings(("plan",), min_rows=2, min_positives=2))
    >>> fitted.assign(pd.DataFrame({"plan": ["pro", "free", "new"]})).tolist()
    ['plan=pro', 'all', 'all']
    >>> fitted.merged
    ("Segment 'free' has 1 rows and 1 positives, fewer than 2 and 2: it is read as all accounts.",)
    """

    settings: SegmentSettings
    names: tuple[str, ...]
    merged: tuple[str, ...] = ()

    def assign(self, frame: Rows) -> pd.Series:
        """Segment of each row, on the frame's index; an unseen label becomes its nearest parent.

        Raises
        ------
        DataError
            When a column the segments are read from is absent.
        """
        code, labels = self.coded(frame)
        index = frame.index if isinstance(frame, pd.DataFrame) else None
        return pd.Series(np.array(labels, dtype=object)[code], index=index, dtype=object)

    def coded(self, frame: Rows) -> tuple[Codes, list[str]]:
        """Segment of each row as its position (n,) among some labels, and those.

        Raises
        ------
        DataError
            As :meth:`assign` does.
        """
        code, labels = _labels(frame, self.settings)
        return code, [_nearest(label, self.names) for label in labels]


def assign_segments(frame: Rows, settings: SegmentSettings) -> SegmentAssignment:
    """Learn which segments are large enough.

    Parameters
    ----------
    frame : DataFrame
        Training rows with ``happened`` and the columns the segments are read from.
    settings : SegmentSettings
        How rows are split.

    Returns
    -------
    SegmentAssignment
    """
    code, labels = _labels(frame, settings)
    rows = np.bincount(code, minlength=len(labels))
    happened = frame["happened"].to_numpy(dtype=int)
    positives = np.bincount(code, happened, minlength=len(labels)).astype(int)
    sizes: dict[str, tuple[int, int]] = {}
    for label, *own in zip(labels, rows.tolist(), positives.tolist(), strict=True):
        before = sizes.get(label, (0, 0))
        sizes[label] = (before[0] + own[0], before[1] + own[1])
    merged = []
    # Deepest labels first, so that a parent is judged with the children it has taken in.
    for depth in range(max(map(_depth, sizes), default=0), 0, -1):
        for label in sorted(label for label in sizes if _depth(label) == depth):
            count, lost = sizes[label]
            if count >= settings.min_rows and lost >= settings.min_positives:
                continue
            parent = parent_of(label)
            taken = ALL if parent == EVERYBODY else sample([segment_words(parent)])
            named = sample([segment_words(label)])
            merged.append(
                f"Segment {named} has {count} rows and {lost} positives, fewer than "
                f"{settings.min_rows} and {settings.min_positives}: it is read as {taken}."
            )
            del sizes[label]
            above = sizes.get(parent, (0, 0))
            sizes[parent] = (above[0] + count, above[1] + lost)
    return SegmentAssignment(settings, tuple(sorted(sizes)), tuple(merged))


def segment_words(segment: str, everybody: str = NO_OWN) -> str:
    """Say which accounts a segment holds, without the column that tells them apart.

    Parameters
    ----------
    segment : str
        As models name it.
    everybody : str
        What accounts of no named segment are called: where accounts are told apart they are those
        whose segment is too small for a model of its own, and where weights are, all of them.

    Returns
    -------
    str
        Still somebody else's text.

    Examples
    --------
    >>> segment_words("plan=enterprise"), segment_words("all"), segment_words("a=b=c")
    ('enterprise', 'no segment of its own', 'a=b=c')
    >>> segment_words("plan=pro / region=EMEA / onboarding")
    'pro / EMEA / onboarding'
    >>> segment_words("all", ALL)
    'all accounts'
    """
    if segment == EVERYBODY:
        return everybody
    parts = [part.partition("=") for part in segment.split(BETWEEN)]
    if all(not sign or (column.isidentifier() and _is_one(value)) for column, sign, value in parts):
        return BETWEEN.join(value if sign else stage for stage, sign, value in parts)
    return segment


def segment_codes(
    batch: pa.RecordBatch, assignment: SegmentAssignment, labels: Sequence[str]
) -> Codes:
    """Assign the rows of an Arrow batch to segments, without a look at every row in Python.

    Rows that agree in everything a segment is read from are looked at once.

    Parameters
    ----------
    batch : RecordBatch of n rows
        With the columns the segments are read from.
    assignment : SegmentAssignment
        How.
    labels : sequence of str
        Every segment the assignment can name.

    Returns
    -------
    ndarray of int, shape (n,)
        Positions in ``labels``.
    """
    settings = assignment.settings
    kinds = list(settings.columns)
    if not settings.required_columns and OWN_COLUMN in batch.schema.names:
        kinds = [OWN_COLUMN]
    code = np.zeros(batch.num_rows, dtype=np.intp)
    for name in kinds:
        values = pc.dictionary_encode(batch[name], null_encoding="encode")
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        code = code * len(values.dictionary) + values.indices.to_numpy(zero_copy_only=False)
    if settings.lifecycle:
        tenure = batch[settings.tenure_column].cast(pa.float64()).to_numpy(zero_copy_only=False)
        code = code * (len(settings.lifecycle) + 1) + stage_position(tenure, settings.lifecycle)
    _, first, alike = np.unique(code, return_index=True, return_inverse=True)
    needed = [*kinds, *([settings.tenure_column] if settings.lifecycle else [])]
    examples = pa.table({name: batch[name].take(pa.array(first)) for name in needed})
    # Without any column there is one kind of row, which pandas must still count.
    frame = examples.to_pandas().reindex(range(len(first)))
    position = {label: i for i, label in enumerate(labels)}
    named = [position[label] for label in assignment.assign(frame)]
    return np.asarray(np.array(named, dtype=np.intp)[alike])


def _labels(frame: Rows, settings: SegmentSettings) -> tuple[Codes, list[str]]:
    """Label of each row as its position (n,) among those there are, and those.

    Rows that agree in everything a label is read from are looked at once.
    """
    absent = [column for column in settings.required_columns if column not in frame]
    if absent:
        raise DataError(
            f"Segments are read from {sample(settings.required_columns)}, but the rows have no "
            f"column {sample(absent)}; add it, or leave it out of the segment columns."
        )
    if not settings.required_columns:
        if OWN_COLUMN not in frame:
            return np.zeros(len(frame), dtype=np.intp), [EVERYBODY]
        code, own = pd.factorize(_objects(frame[OWN_COLUMN]), use_na_sentinel=False)
        return code, [EVERYBODY if pd.isna(value) else str(value) for value in own]
    code, labels = np.zeros(len(frame), dtype=np.intp), [""]
    for column in settings.columns:
        here, values = pd.factorize(_objects(frame[column]), use_na_sentinel=False)
        texts = ["unknown" if pd.isna(value) else str(value) for value in values]
        parts = [f"{BETWEEN}{column}={text}" for text in texts]
        code, labels = _both(code, labels, here, parts)
    if settings.lifecycle:
        tenure = frame[settings.tenure_column].to_numpy(dtype=float, na_value=np.nan)
        stages = [BETWEEN + name for name, _ in settings.lifecycle]
        here = stage_position(tenure, settings.lifecycle)
        code, labels = _both(code, labels, here, [*stages, ""])
    return code, [label.removeprefix(BETWEEN) or EVERYBODY for label in labels]


def _both(code: Codes, labels: list[str], here: Codes, parts: list[str]) -> tuple[Codes, list[str]]:
    """Put further parts behind labels, of the pairs that occur."""
    there, both = np.unique(code * len(parts) + here, return_inverse=True)
    return both, [labels[one // len(parts)] + parts[one % len(parts)] for one in there.tolist()]


def _objects(column: pd.Series) -> NDArray[np.object_]:
    return column.to_numpy(dtype=object)


def stage_position(tenure: Any, lifecycle: tuple[tuple[str, int | None], ...]) -> Any:
    """Position of the stage that accounts of some tenure (n,) are in; past the last, their number.

    Examples
    --------
    >>> stage_position(np.array([10.0, 90.0, np.nan]), (("onboarding", 90), ("first year", 365)))
    array([0, 1, 2])
    """
    limits = [np.inf if days is None else days for _, days in lifecycle]
    # An unknown tenure is read as a long one: being new is the claim that needs evidence.
    longest = np.finfo(float).max
    return np.searchsorted(limits, np.where(np.isnan(tenure), longest, tenure), "right")


def _depth(label: str) -> int:
    return 0 if label == EVERYBODY else label.count(BETWEEN) + 1


def parent_of(label: str) -> str:
    """Return the label without its last key, or "all"."""
    return label.rpartition(BETWEEN)[0] or EVERYBODY


def _nearest(label: str, names: tuple[str, ...]) -> str:
    while label not in names and label != EVERYBODY:
        label = parent_of(label)
    return label


def _is_one(value: str) -> bool:
    """Tell whether nothing in a value reads like another column."""
    return bool(value) and "=" not in value
