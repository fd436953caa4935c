"""Which segment the rows of an Arrow batch belong to, without a look at every row in Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.churn.encoding import Codes
from models.segments import SegmentAssignment, stage_position

OWN_COLUMN = "segment"


def segment_codes(
    batch: pa.RecordBatch, assignment: SegmentAssignment, labels: Sequence[str]
) -> Codes:
    """Assign rows to segments.

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
        found = pc.dictionary_encode(batch[name], null_encoding="encode")
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        code = code * len(found.dictionary) + found.indices.to_numpy(zero_copy_only=False)
    if settings.lifecycle:
        tenure = batch[settings.tenure_column].cast(pa.float64()).to_numpy(zero_copy_only=False)
        code = code * (len(settings.lifecycle) + 1) + stage_position(tenure, settings.lifecycle)
    _, first, alike = np.unique(code, return_index=True, return_inverse=True)
    wanted = [*kinds, *([settings.tenure_column] if settings.lifecycle else [])]
    examples = pa.table({name: batch[name].take(pa.array(first)) for name in wanted})
    # Without any column there is one kind of row, which pandas must still count.
    frame = examples.to_pandas().reindex(range(len(first)))
    position = {label: i for i, label in enumerate(labels)}
    named = [position[label] for label in assignment.assign(frame)]
    return np.asarray(np.array(named, dtype=np.intp)[alike])
