"""The first model of a company: its scorecard as a belief, moved by as many outcomes as there are.

A scorecard is a margin without a scale. What is believed of it is a slope, what is believed of the
weights is that they are about right, and each outcome moves both a little: the more outcomes, the
less is left of the belief. With none the model is the scorecard itself, on a scale of churn rates
that are usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from features.catalog import CONTEXT, EVERYBODY, Signal
from models.arrays import Codes, Floats
from models.churn.backbone import LinearBackbone
from models.churn.classifier import ChurnClassifier
from models.churn.encoding import Encoded, SignalEncoder
from models.churn.segment_tree import segment_tree
from models.churn.segments import SegmentAssignment, SegmentSettings, assign_segments
from models.scorecard.grading import Measure
from models.scorecard.prior.margin import Belief, believe
from models.scorecard.prior.posterior import Posterior, posterior
from models.scoring.calibration import LogisticCalibrator
from models.scoring.health_model import SEGMENT, model_input
from models.training.learning import Fitted, classifier_of
from models.weights.prior_share import PriorShare, Source

# Of accounts a month, before any outcome is seen; and how far off that may be, in log-odds.
USUAL_RATE, RATE_SD = 0.02, 1.5
MONTH = 30
# What a label without a window is taken to tell of.
UNDATED_DAYS = 180


@dataclass(frozen=True)
class Scorecard:
    """What a team believes.

    Attributes
    ----------
    measures : tuple of Measure
        Lines of its scorecard.
    weights : mapping of str to ndarray of shape (n_measures,)
        Segment, or "all", to weights.
    source : {"scorecard", "equal weights"}
        Whose they are.
    """

    measures: tuple[Measure, ...]
    weights: Mapping[str, Floats]
    source: Source


@dataclass(frozen=True, kw_only=True)
class FirstModel(Fitted):
    """A model that starts from a scorecard.

    Attributes
    ----------
    belief : Belief
        The columns, and what was believed of them.
    told : Posterior
        What is believed of them now, the base rate last.
    positives : int
        Outcomes it has seen.
    """

    belief: Belief
    told: Posterior
    positives: int

    def thetas(self, values: Floats) -> Floats:
        """Coefficients of the backbone by node, the intercept last: (n_nodes, q + 1)."""
        backbone = self.classifier.backbone_
        assert backbone is not None
        return _thetas(backbone, self.belief, values)


def learn_first(
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    scorecard: Scorecard,
    *,
    window_days: int,
    segments: SegmentSettings | None = None,
    good: bool = False,
    seed: int = 0,
) -> FirstModel:
    """Let outcomes move a scorecard.

    Parameters
    ----------
    frame : DataFrame of n rows
        ``account_id``, ``observation_date``, ``happened`` (0 or 1, and all may be 0), one column
        per signal and the columns segments are read from.
    signals : sequence of Signal
        What the model may read.
    scorecard : Scorecard
        What is believed. Segments that it weighs by themselves are told apart; all others share
        what is learnt.
    window_days : int
        Length of the outcome window; 0 where there is none.
    segments : SegmentSettings or None
        How rows are split.
    good : bool
        Whether the outcome is good news.
    seed : int
        Kept with the model.

    Returns
    -------
    FirstModel
    """
    signals = tuple(signals)
    assignment = _assignment(frame, segments or SegmentSettings(), scorecard)
    inputs = model_input(frame, signals, assignment)
    happened = frame["happened"].to_numpy(dtype=float)
    classifier = classifier_of(signals, seed=seed, n_jobs=1)
    classifier.set_params(n_rounds=0, tree_share=0.0)
    encoder = SignalEncoder.fit(inputs, SEGMENT)
    data = encoder.transform(inputs)
    belief = believe(
        data,
        signals,
        encoder.categorical,
        scorecard.measures,
        scorecard.weights,
        (*encoder.segments, EVERYBODY),
        good=good,
    )
    rate = 1 - (1 - USUAL_RATE) ** ((window_days or UNDATED_DAYS) / MONTH)
    told = posterior(
        np.column_stack([belief.columns(data), np.ones(len(data.values))]),
        happened,
        np.append(belief.mean, logit(rate)),
        np.append(belief.sd, RATE_SD),
    )
    backbone = _backbone(belief, data, encoder)
    backbone.theta_ = _thetas(backbone, belief, told.mean)
    return FirstModel(
        signals=signals,
        assignment=assignment,
        classifier=_as_fitted(classifier, encoder, backbone, inputs),
        calibrator=_as_it_is(assignment),
        belief=belief,
        told=told,
        positives=int(happened.sum()),
    )


def prior_share(model: FirstModel, frame: pd.DataFrame, source: Source) -> PriorShare:
    """Tell how much of the doubt about who is riskier than whom outcomes have removed.

    Parameters
    ----------
    model : FirstModel
        The model.
    frame : DataFrame of n rows
        What it was taught with.
    source : {"scorecard", "equal weights"}
        Whose weights it started from.
    """
    belief = model.belief
    data = model.classifier.encoder_.transform(model.inputs(frame))
    design = belief.design.transform(data.values)[:, :-1]
    groups = np.array([signal.group for signal in model.signals], dtype=object)
    before = np.diag(belief.sd**2)
    after = model.told.covariance[:-1, :-1]

    def removed(members: Floats) -> float:
        maps = belief.parts(members[None])[0]
        columns = np.einsum("nq,nqk->nk", design, maps[data.segment])
        columns -= columns.mean(axis=0)
        square = columns.T @ columns
        total = float((square * before).sum())
        return float(np.clip(1 - (square * after).sum() / total, 0, 1)) if total > 0 else 0.0

    acting = [name for name in dict.fromkeys(groups) if name != CONTEXT]
    return PriorShare(
        source,
        model.positives,
        removed(np.ones(len(groups))),
        {str(name): removed((groups == name).astype(float)) for name in acting},
    )


def _assignment(
    frame: pd.DataFrame, settings: SegmentSettings, scorecard: Scorecard
) -> SegmentAssignment:
    """Tell apart the segments that the scorecard weighs by themselves."""
    every = SegmentSettings(
        settings.columns, settings.lifecycle, settings.tenure_column, min_rows=1, min_positives=0
    )
    labels = assign_segments(frame, every).names
    own = [name for name in labels if name in scorecard.weights]
    names = tuple(sorted({*own, EVERYBODY} if len(own) < len(labels) or not own else own))
    return SegmentAssignment(settings, names)


def _backbone(belief: Belief, data: Encoded, encoder: SignalEncoder) -> LinearBackbone:
    backbone = LinearBackbone()
    backbone.design_ = belief.design
    backbone.tree_ = segment_tree(encoder.segments, [True] * len(encoder.segments))
    backbone.precision_ = None
    backbone.direction_ = np.zeros(len(belief.design.owner) + 1)
    matrix = belief.design.transform(data.values)
    backbone.mean_ = np.array(
        [matrix[data.segment == code].mean(axis=0) for code in range(len(encoder.segments))]
    )
    return backbone


def _thetas(backbone: LinearBackbone, belief: Belief, values: Floats) -> Floats:
    """Coefficients by node; where no segment reads them they are everybody's."""
    by_segment = belief.theta(values[:-1])
    thetas = np.repeat(by_segment[-1:], backbone.tree_.size, axis=0)
    nodes: Codes = backbone.tree_.node
    thetas[nodes] = by_segment[:-1]
    return np.column_stack([thetas, np.full(len(thetas), values[-1])])


def _as_fitted(
    classifier: ChurnClassifier,
    encoder: SignalEncoder,
    backbone: LinearBackbone,
    inputs: pd.DataFrame,
) -> ChurnClassifier:
    """Fill in what a fit would have learnt."""
    classifier.classes_ = np.array([0, 1])
    classifier.encoder_ = encoder
    classifier.n_features_in_ = inputs.shape[1]
    classifier.feature_names_in_ = np.array(inputs.columns, dtype=object)
    classifier.prior_ = float(backbone.theta_[0, -1])
    classifier.backbone_ = classifier.full_backbone_ = backbone
    classifier.booster_ = None
    return classifier


def _as_it_is(assignment: SegmentAssignment) -> LogisticCalibrator:
    """Let margins pass: they are log-odds already."""
    calibrator = LogisticCalibrator()
    calibrator.centre_, calibrator.shared_ = 0.0, (0.0, 1.0)
    calibrator.lines_ = dict.fromkeys(assignment.names, (0.0, 1.0))
    return calibrator


def mean_rate(model: FirstModel, frame: pd.DataFrame) -> float:
    """Mean probability of some rows: what the base rate is believed to be."""
    return float(expit(model.log_odds(frame)).mean())
