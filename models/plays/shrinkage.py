"""Effects of plays in segments, each drawn toward its play's and its play's toward none.

``y_c = θ_c + noise`` for every cell c of a play and a segment, with known covariance of the noise;
``θ_c`` is normal around its play's mean with deviation τ, and the play's mean normal around zero
with deviation s. Neither τ nor s is known: both are integrated over a grid under half-normal
priors, so that few cells do not pass for certainty (empirical Bayes after Efron and Morris 1975;
half-normal priors on deviations: Gelman 2006, "Prior distributions for variance parameters in
hierarchical models"; Röver 2020, "Bayesian random-effects meta-analysis using the bayesmeta R
package").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from models.arrays import Codes, Floats

# Scales of the half-normal priors, in logarithms of a rate: how far plays and segments may differ.
PLAY_SCALE, SEGMENT_SCALE = 0.5, 0.35
STEPS = 9
DRAWS = 8000


def shrunken_draws(
    estimate: Floats, noise: Floats, play: Sequence[int], *, seed: int = 0
) -> Floats:
    """Draw the effects of all cells from what is believed after the evidence.

    Parameters
    ----------
    estimate : ndarray of shape (m,)
        Effect of each cell.
    noise : ndarray of shape (m, m)
        Covariance of their errors.
    play : sequence of int, shape (m,)
        Which play a cell is of.
    seed : int
        Equal seeds give equal draws.

    Returns
    -------
    ndarray of shape (DRAWS, m)

    Examples
    --------
    >>> draws = shrunken_draws(np.array([-1.0, -1.0]), np.diag([0.01, 9.0]), [0, 0])
    >>> sure, unsure = draws.mean(axis=0)
    >>> bool(-1 < sure < -0.9), bool(-0.95 < unsure < -0.6)
    (True, True)
    """
    codes = np.unique(np.asarray(play), return_inverse=True)[1]
    places = [_places(PLAY_SCALE), _places(SEGMENT_SCALE)]
    grid = [(between, within) for between in places[0] for within in places[1]]
    fits = [_posterior(estimate, noise, codes, between, within) for between, within in grid]
    likely = np.array([fit[0] for fit in fits])
    share = np.exp(likely - likely.max())
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(DRAWS, share / share.sum())
    drawn = [
        generator.multivariate_normal(mean, covariance, count, method="cholesky")
        for count, (_, mean, covariance) in zip(counts, fits, strict=True)
        if count
    ]
    return np.concatenate(drawn)


def _places(scale: float) -> Floats:
    """Equally likely deviations under a half-normal prior."""
    from scipy.stats import halfnorm

    return np.asarray(halfnorm.ppf((np.arange(STEPS) + 0.5) / STEPS, scale=scale))


def _posterior(
    estimate: Floats, noise: Floats, play: Codes, between: float, within: float
) -> tuple[float, Floats, Floats]:
    """Log marginal likelihood, mean and covariance of the effects at given deviations."""
    prior = between**2 * (play[:, None] == play[None, :]) + within**2 * np.eye(len(play))
    factor = cho_factor(prior + noise)
    gain = cho_solve(factor, prior).T
    covariance = prior - gain @ prior
    likelihood = -0.5 * float(estimate @ cho_solve(factor, estimate))
    likelihood -= float(np.log(np.diag(factor[0])).sum())
    return likelihood, gain @ estimate, (covariance + covariance.T) / 2 + 1e-12 * np.eye(len(play))
