"""Which groups count at all, judged on accounts left out, and by what factor those that do.

A factor whose prior is a bell around one is never nothing: a group without any effect keeps a part
of what a fit gave it by chance, many of them together a quarter of all weight. So each group of a
segment may be out, and the factor of those that are in has the bell (Mitchell and Beauchamp 1988,
"Bayesian variable selection in linear regression"). How often a group is in is believed before the
rows are seen, and learnt from all segments together: what counts nowhere else hardly counts here.

Every set of groups is weighed, since there are few groups. What rows say of factors is a quadratic
around the most likely ones, so each set's evidence is a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

# Share of groups that count before anything is seen, as if so many segments had told it.
SHARE, SEGMENTS = 0.65, 2.0
STEPS = 50


@dataclass(frozen=True)
class Counting:
    """Sets of groups that may count, how likely each is, and the factors within it.

    Attributes
    ----------
    sets : ndarray of bool, shape (2 ** n_groups, n_groups)
        Groups that are in.
    chance : ndarray of shape (n_segments, 2 ** n_groups)
        How likely each is, summing to one.
    mean : ndarray of shape (n_segments, 2 ** n_groups, n_groups)
        Most likely factors; zero for groups that are out.
    root : ndarray of shape (n_segments, 2 ** n_groups, n_groups, n_groups)
        Lower Cholesky roots of their covariances.
    """

    sets: NDArray[np.bool_]
    chance: Floats
    mean: Floats
    root: Floats

    @classmethod
    def weighed(cls, pull: Floats, information: Floats, sd: float) -> Counting:
        """Weigh every set of groups.

        Parameters
        ----------
        pull : ndarray of shape (n_segments, n_groups)
            Slope of the log-likelihood where all factors are zero, by its quadratic picture.
        information : ndarray of shape (n_segments, n_groups, n_groups)
            Its curvature.
        sd : float
            Standard deviation around one of factors that are in.
        """
        groups = pull.shape[1]
        sets = (np.arange(2**groups)[:, None] >> np.arange(groups) & 1).astype(bool)
        precision = sd**-2
        both = sets[:, :, None] & sets[:, None, :]
        # A group that is out keeps its prior here, which cancels, and gets no factor.
        posterior = information[:, None] * both + precision * np.eye(groups)
        slope = (pull[:, None] + precision) * sets
        mean = np.linalg.solve(posterior, slope[..., None])[..., 0]
        evidence = (
            (slope * mean).sum(axis=-1)
            - precision * sets.sum(axis=1)
            - np.linalg.slogdet(posterior / precision)[1]
        ) / 2
        root = np.linalg.cholesky(np.linalg.inv(posterior))
        return cls(sets, _chances(sets, evidence), mean, root)

    @property
    def counts(self) -> Floats:
        """How likely each group counts: (n_segments, n_groups)."""
        return np.asarray(self.chance @ self.sets)

    def draw(self, generator: np.random.Generator) -> Floats:
        """Draw factors, zero for groups that are out: (n_segments, n_groups)."""
        drawn = [generator.choice(len(self.sets), p=chance) for chance in self.chance]
        places = np.arange(len(drawn)), np.array(drawn)
        noise = generator.normal(size=(len(drawn), self.sets.shape[1]))
        factors = self.mean[places] + np.einsum("sij,sj->si", self.root[places], noise)
        return np.asarray(factors * self.sets[places[1]])


def _chances(sets: NDArray[np.bool_], evidence: Floats) -> Floats:
    """Turn evidence into chances, with the share of each group learnt from all segments."""
    share = np.full(sets.shape[1], SHARE)
    for _ in range(STEPS):
        chance = evidence + np.log(np.where(sets, share, 1 - share)).sum(axis=1)
        chance = np.exp(chance - chance.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        share = ((chance @ sets).sum(axis=0) + SEGMENTS * SHARE) / (len(chance) + SEGMENTS)
    return np.asarray(chance)
