"""What else estimates the effect of a play on those acted on, with settings anybody would take."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
import pandas as pd

from models.arrays import Floats

MODULES = {"DoubleML": "doubleml", "EconML": "econml", "causalml": "causalml"}
BOOSTING = {
    "n_estimators": 80,
    "learning_rate": 0.05,
    "num_leaves": 8,
    "verbose": -1,
    "n_jobs": 1,
    "random_state": 0,
}


def installed() -> list[str]:
    """List the peers that can be imported."""
    return [name for name, module in MODULES.items() if importlib.util.find_spec(module)]


def estimates(rows: Any, names: list[str]) -> dict[str, dict[str, float]]:
    """Estimate the effect on those acted on, overall and by segment, with some peers.

    Every peer reads the very controls that the product reads, the segment among them, and may
    take five folds of accounts.
    """
    inputs = rows.inputs.copy()
    segment = inputs["segment"].to_numpy(dtype=object)
    for column in inputs.columns:
        if not pd.api.types.is_numeric_dtype(inputs[column]):
            inputs[column] = pd.factorize(inputs[column])[0]
    matrix = inputs.fillna(inputs.median(numeric_only=True)).fillna(0).to_numpy(dtype=float)
    acted = np.any(list(rows.acted.values()), axis=0)
    account = pd.factorize(rows.accounts)[0]
    told = {}
    for name in names:
        begun = time.process_time()
        change, share = _PEERS[name](matrix, acted, rows.happened, account)
        told[name] = {}
        for one in sorted(set(segment[acted])):
            inside = segment == one
            told[name][one] = float(change[inside].sum() / share[inside].sum())
        told[name]["seconds"] = time.process_time() - begun
    return told


def _doubleml(matrix: Floats, acted: Any, happened: Floats, account: Any) -> tuple[Floats, Floats]:
    """Interactive regression for the effect on those treated."""
    import doubleml
    from lightgbm import LGBMClassifier

    learner = LGBMClassifier(**BOOSTING)
    data = doubleml.DoubleMLData.from_arrays(
        matrix, happened, acted.astype(float), cluster_vars=account
    )
    model = doubleml.DoubleMLIRM(data, learner, learner, score="ATTE", n_folds=5).fit()
    scores = model.psi_elements
    return scores["psi_b"][:, 0, 0], -scores["psi_a"][:, 0, 0]


def _econml(matrix: Floats, acted: Any, happened: Floats, account: Any) -> tuple[Floats, Floats]:
    """Causal forest on residuals."""
    from econml.dml import CausalForestDML
    from lightgbm import LGBMClassifier, LGBMRegressor

    forest = CausalForestDML(
        model_y=LGBMRegressor(**BOOSTING),
        model_t=LGBMClassifier(**BOOSTING),
        discrete_treatment=True,
        n_estimators=48,
        inference=False,
        cv=5,
        random_state=0,
        n_jobs=1,
    )
    forest.fit(happened, acted.astype(int), X=matrix, groups=account)
    change = np.zeros(len(acted))
    change[acted] = np.ravel(forest.effect(matrix[acted]))
    return change, acted.astype(float)


def _causalml(matrix: Floats, acted: Any, happened: Floats, account: Any) -> tuple[Floats, Floats]:
    """X-learner with a learnt chance of being treated."""
    from causalml.inference.meta import BaseXRegressor
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.model_selection import GroupKFold, cross_val_predict

    folds = list(GroupKFold(5).split(matrix, groups=account))
    chance = cross_val_predict(
        LGBMClassifier(**BOOSTING), matrix, acted, cv=folds, method="predict_proba"
    )[:, 1]
    learner = BaseXRegressor(LGBMRegressor(**BOOSTING))
    change = learner.fit_predict(matrix, acted.astype(int), happened, p=np.clip(chance, 0.01, 0.99))
    return np.ravel(change) * acted, acted.astype(float)


_PEERS = {"DoubleML": _doubleml, "EconML": _econml, "causalml": _causalml}
