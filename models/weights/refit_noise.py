"""Noise of refits: how much of what a group seems to move is the uncertainty of the fit alone.

The mean absolute size of what a group adds to the margin is above zero even for a group that moves
nothing: a fit errs, and a refit errs once more. Both errors are about as large, so a refit's mean
square holds twice the variance between refits beside what is true (the bias correction of the
bootstrap, Efron and Tibshirani 1993, chapter 10, applied to squares).
"""

from __future__ import annotations

import numpy as np

from models.arrays import Floats

# Where all that a refit moves may be noise this much of it stays, so that shares can be taken.
LEAST = 1e-3
# The error of the fit that is refitted, and that of the refit.
ERRORS = 2


class RefitNoise:
    """Adds up what refits say of the same rows, and takes the noise out of their sizes.

    Parameters
    ----------
    rows, groups : int
        Of the contributions that are added.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = np.column_stack([rng.normal(size=500), np.zeros(500)])
    >>> fit = true + 0.3 * rng.normal(size=true.shape)
    >>> noise = RefitNoise(500, 2)
    >>> squares = []
    >>> for _ in range(100):
    ...     refit = fit + 0.3 * rng.normal(size=true.shape)
    ...     noise.add(refit)
    ...     squares.append((refit**2).mean(axis=0))
    >>> noise.kept(np.array(squares)).mean(axis=0).round(1).tolist()
    [0.9, 0.0]
    """

    def __init__(self, rows: int, groups: int) -> None:
        self._count = 0
        self._mean, self._apart = np.zeros((2, rows, groups))

    def add(self, moved: Floats) -> None:
        """Add a refit's contributions: (rows, groups). By Welford's recurrence."""
        self._count += 1
        step = moved - self._mean
        self._mean += step / self._count
        self._apart += step * (moved - self._mean)

    def kept(self, squares: Floats) -> Floats:
        """Share of each group's size that is not noise, from the refits' mean squares.

        Parameters
        ----------
        squares : ndarray of shape (n_refits, groups)
            Mean square of each refit's contributions.

        Returns
        -------
        ndarray of shape (n_refits, groups)
            From nearly 0 to 1; 1 where a single refit shows no noise.
        """
        variance = (self._apart / max(self._count - 1, 1)).mean(axis=0)
        share = 1 - ERRORS * variance / np.maximum(squares, 1e-300)
        return np.asarray(np.sqrt(np.clip(share, LEAST**2, 1.0)))
