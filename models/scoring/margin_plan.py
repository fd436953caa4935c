"""The SHAP plan of a churn classifier's margin, counted from the mean of each segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from features.catalog import EVERYBODY
from models.churn.classifier import ChurnClassifier
from models.tree_shap import ShapPlan
from models.tree_shap.build.backbone_tables import tabulate_backbone


def margin_plan(
    classifier: ChurnClassifier, centres: Sequence[Mapping[str, list[float]]]
) -> ShapPlan:
    """Arrange the margin of a classifier for explaining many rows.

    Parameters
    ----------
    classifier : ChurnClassifier
        Fitted.
    centres : sequence of mapping of str to list of float
        For each kind of term that is told apart, mean contribution of each signal by segment, and
        over all rows as "all". The segments of the first kind come first in the plan, and those
        never seen last among them.
    """
    encoder = classifier.encoder_
    parts = []
    for by_segment in centres:
        names = (*encoder.segments, EVERYBODY)
        means = [by_segment.get(name, by_segment[EVERYBODY]) for name in names]
        parts.append(
            tabulate_backbone(
                classifier.backbone_,
                categorical=encoder.categorical,
                n_features=len(encoder.names),
                prior=classifier.prior_,
                centres=np.array(means, dtype=float).reshape(-1, len(encoder.names)),
            )
        )
    stacked = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("height", "slope", "unknown", "base")
    }
    return ShapPlan.compile(classifier.booster_, additive=replace(parts[0], **stacked))
