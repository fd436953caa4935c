"""The SHAP plan of a churn classifier's margin, counted from the mean of each segment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features.catalog import EVERYBODY
from models.churn.classifier import ChurnClassifier
from models.tree_shap import ShapPlan
from models.tree_shap.build.backbone_tables import tabulate_backbone


def margin_plan(classifier: ChurnClassifier, centres: Mapping[str, list[float]]) -> ShapPlan:
    """Arrange the margin of a classifier for explaining many rows.

    Parameters
    ----------
    classifier : ChurnClassifier
        Fitted.
    centres : mapping of str to list of float
        Mean contribution of each signal by segment, and over all rows as "all".
    """
    encoder = classifier.encoder_
    means = [centres.get(name, centres[EVERYBODY]) for name in (*encoder.segments, EVERYBODY)]
    additive = tabulate_backbone(
        classifier.backbone_,
        categorical=encoder.categorical,
        n_features=len(encoder.names),
        prior=classifier.prior_,
        centres=np.array(means, dtype=float).reshape(-1, len(encoder.names)),
    )
    return ShapPlan.compile(classifier.booster_, additive=additive)
