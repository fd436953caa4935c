"""All that is learnt from a set of rows: segments, rounds, calibration and the churn model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone

from features.catalog import Signal
from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.churn.segments import SegmentAssignment, SegmentSettings, assign_segments
from models.scoring.calibration import LogisticCalibrator
from models.scoring.health_model import SEGMENT, model_input
from models.scoring.timing.curve import RiskCurve
from models.scoring.timing.curve_learning import LEAST_LOSSES, learn_curve
from models.scoring.timing.decisions import TERMS, Decisions
from models.scoring.timing.telltales import telltales
from models.scoring.timing.timing import Timing, learn_timing
from models.training.selection import Selection, select_shapes
from models.training.splits import left_alone

CONTRACT = "contract"
"""Terms of contracts, as a group that is shrunk alike."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted, calibrated churn model.

    Attributes
    ----------
    signals : tuple of Signal
        What it reads.
    assignment : SegmentAssignment
        Which segment a row belongs to.
    classifier : ChurnClassifier
        Fitted on every row it was given.
    calibrator : LogisticCalibrator
        From its margins to log-odds.
    timing : Timing or None
        What of the risk at a decision falls into the outcome window; None where all of it does.
    """

    signals: tuple[Signal, ...]
    assignment: SegmentAssignment
    classifier: ChurnClassifier
    calibrator: LogisticCalibrator
    timing: Timing | None = None

    def inputs(self, frame: Rows) -> Rows:
        """Select what the classifier reads: n rows."""
        return model_input(frame, self.signals, self.assignment)

    def segment(self, frame: Rows) -> NDArray[np.object_]:
        """Segment of each row: (n,)."""
        return self.assignment.assign(frame).to_numpy(dtype=object)

    def log_odds(self, frame: Rows) -> Floats:
        """Calibrated log-odds of the outcome at a decision: (n,)."""
        inputs = self.inputs(frame)
        margins = self.classifier.decision_function(inputs)
        segment = inputs[SEGMENT].to_numpy(dtype=object)
        return self.calibrator.log_odds(margins, segment, self.kinds(frame))

    def probability(self, frame: Rows) -> Floats:
        """Calibrated probability of the outcome in the outcome window: (n,)."""
        return np.asarray(expit(self.log_odds(frame)) * self.share(frame))

    def due(self, frame: Rows) -> NDArray[np.bool_]:
        """Whether a decision falls into the outcome window: (n,)."""
        if self.timing is None:
            return np.ones(len(frame), dtype=bool)
        return self.timing.decisions.due(frame)

    def kinds(self, frame: Rows) -> Codes:
        """Position of each row's kind of term: (n,); 0 where none are told apart."""
        if self.timing is None:
            return np.zeros(len(frame), dtype=np.intp)
        return self.timing.decisions.kinds(frame)

    def share(self, frame: Rows) -> Floats:
        """Share of the risk at a decision that falls into the outcome window: (n,)."""
        return np.ones(len(frame)) if self.timing is None else self.timing.share(frame)

    def contributions(self, frame: pd.DataFrame) -> Floats:
        """SHAP value of each signal on the margin: (n, n_signals)."""
        return self.classifier.contributions(self.inputs(frame))


@dataclass(frozen=True, kw_only=True)
class Learnt(Fitted):
    """A churn model whose shapes were chosen, calibrated on out-of-time margins.

    Attributes
    ----------
    selection : Selection
        How shapes, rounds and shares were chosen.
    """

    selection: Selection

    def calibrated(self, frame: Rows, rows: Codes, margins: Floats) -> Learnt:
        """Fit the calibration to margins of rows that the models behind them had not seen.

        Parameters
        ----------
        frame : DataFrame of n rows
            As :func:`learn` takes.
        rows : ndarray of int, shape (m,)
            Positions of those rows.
        margins : ndarray of shape (m,)
            Their margins.
        """
        told = frame.take(rows)
        calibrator = LogisticCalibrator().fit(
            margins,
            told["happened"].to_numpy(dtype=float),
            self.segment(told),
            self.kinds(told) if self.timing is not None else None,
            ~left_alone(told),
        )
        return replace(self, calibrator=calibrator)

    def timed(self, frame: Rows) -> Learnt:
        """Learn the timing anew from rows whose outcomes are known."""
        if self.timing is None:
            return self
        risk = np.asarray(expit(self.log_odds(frame) + self._relief(frame)))
        return replace(self, timing=learn_timing(self.timing.decisions, frame, risk))

    def curve(self, frame: Rows, window: Decisions) -> RiskCurve | None:
        """Learn the curve of the risk over a year from rows whose outcomes are known.

        Parameters
        ----------
        frame : DataFrame of n rows
            With ``days_to_loss``, from which a curve is learnt.
        window : Decisions
            The outcome window.

        Returns
        -------
        RiskCurve or None
            None where too few losses were seen.
        """
        inputs, due = self.inputs(frame), self.due(frame)
        happened = frame["happened"].to_numpy(dtype=int)
        if happened[due].sum() < LEAST_LOSSES:
            return None
        segment, kinds = inputs[SEGMENT].to_numpy(dtype=object), self.kinds(frame)
        relief = self._relief(frame)

        def tell(taught: Codes) -> Floats:
            rows = taught[due[taught]]
            classifier = clone(self.classifier).fit(inputs.take(rows), happened[rows])
            margins = classifier.decision_function(inputs)
            return self.calibrator.log_odds(margins, segment, kinds) + relief

        return learn_curve(window, frame, tell, segment, is_dated=self.timing is not None)

    def _relief(self, frame: Rows) -> Floats:
        """Return what acts took off the log-odds of each row: (n,)."""
        return np.where(left_alone(frame), 0.0, self.calibrator.relief_)


def classifier_of(
    signals: Sequence[Signal], *, seed: int, n_jobs: int, negatives: float = 1.0
) -> ChurnClassifier:
    """Make an unfitted classifier that knows what the catalogue declares.

    Terms of contracts are shrunk apart from the rest of what an account is: a year's decision holds
    many times the risk of a month's, and industry or seats, which may say nothing, must not make
    that look unlikely.
    """
    return ChurnClassifier(
        segment_column=SEGMENT,
        healthy={
            s.name: s.healthy for s in signals if s.healthy != "none" and not s.is_categorical
        },
        groups={s.name: CONTRACT if s.name in TERMS else s.group for s in signals},
        negatives=negatives,
        random_state=seed,
        n_jobs=n_jobs,
    )


@dataclass(frozen=True)
class Learning:
    """How to learn from rows, whichever they are.

    Parameters
    ----------
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    segments : SegmentSettings
        How rows are split; by default by the frame's ``segment`` column.
    decisions : Decisions or None
        Which rows are due: they alone teach, without the signals that say when, and the others
        teach the timing. None where every row is.
    window : Decisions or None
        The outcome window, where the risk is to be told over a year too; the rows then have
        ``days_to_loss``.
    is_dated : bool
        False where the rows are one snapshot without dates: other accounts judge, not later dates.
    tuned : mapping of str to float, or None
        Parameters of :class:`models.churn.classifier.ChurnClassifier` that replace the defaults.
    negatives : float
        Share of the rows without the outcome that models are taught with; see
        :class:`models.churn.classifier.ChurnClassifier`.
    seed : int
        Of the models and of the bootstrap.
    n_jobs : int
        Threads; the result does not depend on it.
    """

    maturity_days: int
    segments: SegmentSettings = field(default_factory=SegmentSettings)
    decisions: Decisions | None = None
    window: Decisions | None = None
    is_dated: bool = True
    tuned: Mapping[str, float] | None = None
    negatives: float = 1.0
    seed: int = 0
    n_jobs: int = 1

    def decided(self, frame: Rows) -> Rows:
        """Keep the rows that are due."""
        if self.decisions is None:
            return frame
        return frame.take(np.flatnonzero(self.decisions.due(frame)))


def learn(frame: Rows, signals: Sequence[Signal], learning: Learning) -> Learnt:
    """Choose, calibrate and fit on rows whose outcomes are known.

    Shapes, rounds and shares are chosen by rolling origins inside the rows, the calibration is
    fitted to the margins those origins gave, and the classifier to all rows.

    Parameters
    ----------
    frame : DataFrame or CodedTable of n rows
        ``account_id``, ``observation_date``, ``happened`` (0 or 1), one column per signal and the
        columns segments are read from.
    signals : sequence of Signal
        What the model may read.
    learning : Learning
        How.

    Returns
    -------
    Learnt

    Raises
    ------
    EvidenceError
        When no split leaves both outcomes to learn from.
    DataError
        When a column is absent or holds what it must not.
    """
    decisions = learning.decisions
    if decisions is None:
        learnt = _uncalibrated(frame, signals, learning)
        return learnt.calibrated(frame, learnt.selection.rows, learnt.selection.margins)
    due = np.flatnonzero(decisions.due(frame))
    asked = decisions.signals(signals)
    when = telltales(decisions, frame, asked)
    # Where nothing else is known, what tells the date is better than nothing.
    kept = tuple(signal for signal in asked if signal.name not in when) or asked
    learnt = _uncalibrated(frame.take(due), kept, learning)
    selection = replace(learnt.selection, rows=due[learnt.selection.rows])
    dated = replace(learnt, selection=selection, timing=Timing(decisions, ()))
    return dated.calibrated(frame, selection.rows, selection.margins).timed(frame)


def _uncalibrated(frame: Rows, signals: Sequence[Signal], learning: Learning) -> Learnt:
    """Choose shapes and fit to rows that are all due."""
    signals = tuple(signals)
    assignment = assign_segments(frame, learning.segments)
    inputs = model_input(frame, signals, assignment)
    happened = frame["happened"].to_numpy(dtype=float)
    classifier = classifier_of(
        signals, seed=learning.seed, n_jobs=learning.n_jobs, negatives=learning.negatives
    )
    classifier.set_params(**(learning.tuned or {}))
    selection = select_shapes(
        classifier,
        inputs,
        happened,
        dates=frame["observation_date"],
        accounts=frame["account_id"].to_numpy(dtype=object),
        maturity_days=learning.maturity_days,
        is_dated=learning.is_dated,
    )
    classifier.set_params(**selection.parameters)
    classifier.fit(inputs, happened.astype(int))
    return Learnt(
        signals=signals,
        assignment=assignment,
        classifier=classifier,
        calibrator=LogisticCalibrator(),
        selection=selection,
    )
