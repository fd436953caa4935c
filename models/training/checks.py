"""Whether labelled rows can be learnt from at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.catalog import Signal
from features.errors import DataError, EvidenceError
from models.scoring.health_model import SEGMENT

if TYPE_CHECKING:
    import pandas as pd

    from models.arrays import Codes
    from models.churn.coded import Rows

# Of all matured rows, and of those that had matured before the tested dates.
MIN_POSITIVES, MIN_EARLIER_POSITIVES = 30, 15


def has_few(happened: pd.Series, earlier: Codes) -> bool:
    """Tell whether outcomes are too few to choose shapes and learn weights from nothing.

    Parameters
    ----------
    happened : Series of 0 and 1, n rows
        Outcomes of all matured rows.
    earlier : ndarray of int
        Positions of those that had matured before the ones that judge.
    """
    positives = happened.to_numpy(dtype=float)
    return bool(positives.sum() < MIN_POSITIVES or positives[earlier].sum() < MIN_EARLIER_POSITIVES)


def check_labels(frame: Rows, signals: Sequence[Signal], *, few: bool = False) -> None:
    """Refuse rows without signals, without usable labels or with too few positives.

    Parameters
    ----------
    frame : DataFrame
        Training rows.
    signals : sequence of Signal
        What a model may read.
    few : bool
        Whether few positives will do, or none.

    Raises
    ------
    DataError
        When there is no signal, one has a reserved name, or a label is neither 0 nor 1.
    EvidenceError
        When either outcome is too rare.
    """
    if not signals:
        raise DataError(
            "A model needs at least one signal, but none was given; map a source table such as "
            "usage_events."
        )
    if any(signal.name == SEGMENT for signal in signals):
        raise DataError(
            f"No signal may be called {SEGMENT!r}, the column that splits the model; "
            "give the signal another name."
        )
    if "happened" not in frame:
        raise DataError("Training rows must have a column 'happened'; label them first.")
    if not frame["happened"].isin([0, 1]).all():
        wrong = frame["happened"][~frame["happened"].isin([0, 1])]
        raise DataError(
            f"The label 'happened' must be 0 or 1 in every training row, but {len(wrong)} row(s) "
            f"hold something else, such as {wrong.iloc[0]!r}; leave out rows not matured yet."
        )
    least = 0 if few else MIN_POSITIVES
    check_evidence(frame["happened"], least, "in the matured rows")


def check_evidence(happened: pd.Series, least: int, where: str) -> None:
    """Refuse to learn from fewer positives than ``least``, or from nothing else.

    Raises
    ------
    EvidenceError
        Saying how many there are.
    """
    positives, rows = int(happened.sum()), len(happened)
    if not least <= positives < rows:
        needed, step = (
            f"at least {least} positives",
            "use a longer history or a longer outcome window",
        )
        if positives >= least:
            needed, step = "a row without the outcome", "check what counts as the outcome"
        raise EvidenceError(
            f"Learning needs {needed} {where}, but {positives} of {rows} rows are positive; {step}."
        )
