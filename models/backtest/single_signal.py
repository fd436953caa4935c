"""What one signal alone knows of the outcome, and when that is too much to be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from features.errors import sample
from models.arrays import Codes, Floats
from models.measures.metrics import Ranking
from models.measures.resampling import TAILS, AccountBootstrap
from models.training.splits import Fold

# Two normal classes whose distance gives this AUC have an information value of 3.3; credit scoring
# suspects a predictor above 0.5 (Siddiqi 2006, "Credit Risk Scorecards", chapter 6), and a whole
# churn model seldom gets as far. The lower bound keeps out what luck made of few positives.
TOO_GOOD, TOO_GOOD_FOR_LUCK = 0.9, 0.85
# A value that foretells the outcome in so many of at least this many rows is the outcome.
CERTAIN_RISK, CERTAIN_RATE, CERTAIN_ROWS = 0.8, 0.9, 10
# Missing in nearly all rows of one class and nearly none of the other.
GIVEN_AWAY = 0.9
# AUC that it had on older dates and lacks on later ones, beyond the interval.
TAKEN_BACK = 0.1
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Suspect:
    """A signal that knows more of the outcome than it should.

    Attributes
    ----------
    signal : str
        Its name.
    auc, low, high : float
        AUC of the signal alone and its 90 % interval over accounts.
    why : str
        One sentence that ends in what to check.
    """

    signal: str
    auc: float
    low: float
    high: float
    why: str


def leak_suspects(
    names: Sequence[str],
    values: Floats,
    outcome: Floats,
    *,
    accounts: Codes,
    folds: Sequence[Fold],
    seed: int,
) -> list[Suspect]:
    """Find signals that know too much, each judged alone by a small tree.

    Parameters
    ----------
    names : sequence of str
        The signals.
    values : ndarray of shape (n, n_signals)
        Their values; NaN where unknown, categories as codes.
    outcome : ndarray of 0 and 1, shape (n,)
        Outcomes.
    accounts : ndarray of shape (n,)
        Account of each row.
    folds : sequence of Fold
        The honest split: rows to learn from, and later or other rows to test on.
    seed : int
        Of the trees and of the bootstrap.

    Returns
    -------
    list of Suspect
        Highest AUC first.
    """
    rows = np.concatenate([fold.test for fold in folds])
    older = halves(folds[0].train, seed)
    claimed_rows = np.concatenate([fold.test for fold in older])
    bootstrap = AccountBootstrap(accounts[rows], seed=seed)
    # Other accounts are drawn than above: the two AUCs are of different rows.
    earlier = AccountBootstrap(accounts[claimed_rows], seed=seed + 1)
    found = []
    for place, name in enumerate(names):
        column = values[:, [place]]
        alone = _Alone(
            name,
            outcome[rows],
            np.isnan(column[rows, 0]),
            _risk(column, outcome, folds, seed),
            bootstrap,
            Ranking(outcome[claimed_rows], _risk(column, outcome, older, seed), earlier.cluster),
            earlier,
        )
        suspect = alone.judge()
        if suspect is not None:
            found.append(suspect)
    return sorted(found, key=lambda suspect: -suspect.auc)


@dataclass(frozen=True)
class _Alone:
    """One signal's risk of the tested rows, and what it had claimed on the older ones."""

    name: str
    happened: Floats
    missing: NDArray[np.bool_]
    risk: Floats
    bootstrap: AccountBootstrap
    claimed: Ranking
    earlier: AccountBootstrap

    def judge(self) -> Suspect | None:
        """Say why it is suspect, if it is."""
        ranking = Ranking(self.happened, self.risk, self.bootstrap.cluster)
        auc = ranking.auc(np.ones(self.bootstrap.count))
        before = self.claimed.auc(np.ones(self.earlier.count))
        certain = self._certain_rows()
        # Drawing is what takes time, and most signals are far from all of this.
        if max(auc - TOO_GOOD, before - auc - TAKEN_BACK) < 0 and not (certain or self._missing()):
            return None
        drawn = ranking.resampled_auc(self.bootstrap)
        low, high = np.nanquantile(drawn, TAILS)
        taken_back = np.nanquantile(self.claimed.resampled_auc(self.earlier) - drawn, TAILS[0])
        called = f"Signal {sample([self.name])}"
        if self._missing():
            why = (
                f"{called} is missing in {self._share_missing(1):.0%} of the rows where the "
                f"outcome happened and in {self._share_missing(0):.0%} of the others: is it "
                "written, or wiped, after the outcome?"
            )
        elif auc >= TOO_GOOD and low >= TOO_GOOD_FOR_LUCK:
            why = (
                f"{called} alone ranks the outcome with an AUC of {auc:.2f}, which is too good to "
                "be true: is it written, or updated, after the outcome?"
            )
        elif certain:
            why = (
                f"{called} has values after which the outcome happened in nearly all of {certain} "
                "rows: are they written after the outcome?"
            )
        elif taken_back > 0 and before - auc >= TAKEN_BACK:
            why = (
                f"{called} alone had an AUC of {before:.2f} on older dates and has {auc:.2f} on "
                "later ones: was it filled in afterwards, or has its meaning changed?"
            )
        else:
            return None
        return Suspect(self.name, auc, float(low), float(high), why)

    def _certain_rows(self) -> int:
        """Count the rows of values that are followed by the outcome almost always."""
        certain = self.risk >= CERTAIN_RISK
        rows = int(certain.sum())
        if rows < CERTAIN_ROWS or self.happened.mean() >= 0.5:
            return 0
        return rows if self.happened[certain].mean() >= CERTAIN_RATE else 0

    def _missing(self) -> bool:
        return abs(self._share_missing(1) - self._share_missing(0)) >= GIVEN_AWAY

    def _share_missing(self, outcome: int) -> float:
        return float(self.missing[self.happened == outcome].mean())


def halves(rows: Codes, seed: int) -> list[Fold]:
    """Test each half of some rows, drawn by chance, on the other."""
    first, second = np.array_split(np.random.default_rng(seed).permutation(rows), 2)
    return [Fold(first, second), Fold(second, first)]


def _risk(column: Floats, outcome: Floats, folds: Sequence[Fold], seed: int) -> Floats:
    """Risk of the tested rows by one signal, fold after fold."""
    risks = []
    for fold in folds:
        train = fold.train[:MOST_ROWS]
        tree = DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=10, random_state=seed)
        tree.fit(column[train], outcome[train])
        shares = tree.predict_proba(column[fold.test])
        risks.append(shares[:, 1] if len(tree.classes_) > 1 else np.zeros(len(shares)))
    return np.concatenate(risks)
