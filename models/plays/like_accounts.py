"""Cross-fitted risk without a play, and chance of being given it, of every account and date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import Ridge

from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.design import Design
from models.churn.encoding import SignalEncoder
from models.scoring.calibration import LogisticCalibrator
from models.scoring.health_model import SEGMENT
from models.training.splits import Fold, account_folds

FOLDS = 5
RISK = "risk_if_left_alone"
"""Column of the product's own risk among what decides whether a team acts."""
# Penalty of the line that foretells an account's earlier risk.
RIDGE = 10.0


@dataclass(frozen=True)
class LikeAccounts:
    """What is known of each row before anybody acts.

    Attributes
    ----------
    inputs : DataFrame of n rows
        Controls, numbers or names, and the column of the segment.
    cluster : ndarray of int, shape (n,)
        Account of each row.
    folds : list of Fold
        Accounts are never on both sides.
    """

    inputs: pd.DataFrame
    cluster: Codes
    folds: list[Fold]

    @classmethod
    def of(cls, inputs: pd.DataFrame, accounts: NDArray[np.object_]) -> LikeAccounts:
        """Deal the accounts of some rows to folds."""
        cluster = pd.factorize(accounts)[0]
        return cls(inputs, cluster, account_folds(cluster, FOLDS))

    @property
    def segment(self) -> NDArray[np.object_]:
        """Segment of each row: (n,)."""
        return self.inputs[SEGMENT].to_numpy(dtype=object)

    def log_odds(
        self, happened: Floats, learn_from: NDArray[np.bool_], risk: Floats | None = None
    ) -> Floats:
        """Foretell something of every row from rows of other accounts, calibrated.

        Parameters
        ----------
        happened : ndarray of 0 and 1, shape (n,)
            What is foretold: churn, or that somebody acts.
        learn_from : ndarray of bool, shape (n,)
            Rows that teach it, with both outcomes in every fold's rest.
        risk : ndarray of shape (n,), or None
            Log-odds that join the controls.

        Returns
        -------
        ndarray of shape (n,)
            Log-odds.
        """
        inputs = self.inputs if risk is None else self.inputs.assign(**{RISK: risk})
        # Shapes that do well on most companies; a choice for each would cost more than it gains.
        model = ChurnClassifier(
            segment_column=SEGMENT,
            n_rounds=40,
            tree_share=0.5,
            tree_rounds=80,
            hold_directions=False,
            random_state=0,
        )
        margin = np.zeros(len(inputs))
        for fold in self.folds:
            rows = fold.train[learn_from[fold.train]]
            taught = clone(model).fit(inputs.iloc[rows], happened[rows].astype(int))
            margin[fold.test] = taught.decision_function(inputs.iloc[fold.test])
        segment = self.segment
        calibrator = LogisticCalibrator().fit(
            margin[learn_from], happened[learn_from], segment[learn_from]
        )
        return calibrator.log_odds(margin, segment)

    def earlier(self, values: Floats, learn_from: NDArray[np.bool_], risk: Floats) -> Floats:
        """Foretell an earlier value of each row from its controls and its risk of now.

        A ridge regression on the columns of the linear backbone; NaN values teach nothing, and
        without any other nothing is foretold.
        """
        encoder = SignalEncoder.fit(self.inputs, SEGMENT)
        encoded = encoder.transform(self.inputs)
        design = Design.fit(encoded.values, encoder.categorical).transform(encoded.values)
        now = expit(risk)
        columns = np.column_stack([design, risk, risk**2, now / now.std() if now.std() else now])
        told = np.full(len(values), np.nan)
        usable = learn_from & ~np.isnan(values)
        for fold in self.folds:
            rows = fold.train[usable[fold.train]]
            if not len(rows):
                continue
            line = Ridge(RIDGE).fit(columns[rows], values[rows])
            told[fold.test] = line.predict(columns[fold.test])
        return told


def value_before(values: Floats, cluster: Codes, days: Codes) -> Floats:
    """Value of the same account on the observation date before; NaN on its first: (n,)."""
    order = np.lexsort((days, cluster))
    before = np.full(len(values), np.nan)
    same = cluster[order][1:] == cluster[order][:-1]
    before[order[1:][same]] = values[order[:-1][same]]
    return before
