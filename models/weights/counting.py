"""Which groups count at all, judged on accounts left out, and by what factor those that do.

A factor whose prior is a bell around one is never nothing: a group without any effect keeps a part
of what a fit gave it by chance, many of them together a quarter of all weight. So each group of a
segment may be out, and the factor of those that are in has the bell (Mitchell and Beauchamp 1988,
"Bayesian variable selection in linear regression"). A group counts in a company or it does not, and
where it does, it is out of few segments: all of them together tell which groups count, so that one
that counts everywhere is not lost where rows are few. How many groups count is learnt as well.

Every set of groups is weighed, since there are few groups. What rows say of factors is a quadratic
around the most likely ones, so each set's evidence is a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp

from models.arrays import Floats

# Share of groups that count in a company before anything is seen, as if so many groups had told it.
SHARE, GROUPS_SEEN = 0.65, 1.0
# How often a group that counts in a company counts in a segment of it.
WITHIN = 0.9


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
    """Turn evidence of each segment into chances, by way of the sets that count in the company."""
    size, groups = sets.sum(axis=1), sets.shape[1]
    inside = ~(sets[None] & ~sets[:, None]).any(axis=-1)
    # Of each set in the company (rows) the chance that a segment has another one of it (columns).
    missing = np.where(inside, size[:, None] - size[None], 0)
    parted = size * np.log(WITHIN) + missing * np.log(1 - WITHIN)
    parted = np.where(inside, parted, -np.inf)
    told = np.array([logsumexp(parted + own, axis=1) for own in evidence])
    # A share that is unknown, integrated over its beta prior: sets of one size are as likely.
    seen, unseen = GROUPS_SEEN * SHARE, GROUPS_SEEN * (1 - SHARE)
    company = betaln(seen + size, unseen + groups - size) + told.sum(axis=0)
    company -= logsumexp(company)
    return np.array(
        [
            np.exp(logsumexp((company - whole)[:, None] + parted, axis=0) + own)
            for own, whole in zip(evidence, told, strict=True)
        ]
    )
