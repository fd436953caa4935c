"""The backbone's problem around its solution, ready to be solved again for other accounts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.churn.backbone import LinearBackbone
from models.churn.design import DesignRows
from models.churn.encoding import Encoded
from models.churn.shrunken_logistic import NodeRows, Quadratic, ShrunkenTree

# Each step settles which coefficients rest on their bound; a handful does.
MOST_STEPS = 8


class BackboneSteps:
    """Newton steps from a fitted backbone.

    Parameters
    ----------
    backbone : LinearBackbone
        Fitted in this process.
    data : Encoded
        Its n training rows.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    cluster : ndarray of int, shape (n,)
        Account of each row, counted from zero.

    Raises
    ------
    ValueError
        When the backbone was read from a file, which keeps no priors.
    """

    def __init__(
        self, backbone: LinearBackbone, data: Encoded, happened: Floats, cluster: Codes
    ) -> None:
        if backbone.precision_ is None:
            raise ValueError("A backbone read from a file cannot be refitted; train again.")
        self.backbone = backbone
        self._tree, self._precision = backbone.tree_, backbone.precision_
        rows = NodeRows(
            DesignRows(backbone.design_, data.matrix),
            happened,
            backbone.nodes(data.segment),
            self._tree.size,
        )
        self._curvature = rows.quadratic(backbone.theta_).curvature
        self._unsigned = ShrunkenTree(
            self._tree, self._precision, np.zeros_like(backbone.direction_)
        )
        nothing_held = np.zeros(backbone.theta_.shape, dtype=bool)
        self._inverse = self._unsigned.inverse(self._curvature, nothing_held)
        self._slopes = rows.cluster_slopes(backbone.theta_, cluster)

    def draw(self, weight: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Solve for accounts of these weights, with and without the prescribed signs.

        The centres of the priors are drawn from the priors.

        Parameters
        ----------
        weight : ndarray of shape (n_accounts,)
            Mean 1.
        generator : Generator
            Of the centres.

        Returns
        -------
        constrained, free : ndarray of shape (n_nodes, q)
        """
        # A centre moved by c takes precision times c from the slope of the penalty.
        pull = np.sqrt(self._precision) * generator.normal(size=self._precision.shape)
        slope = self._slope(weight) - pull
        np.add.at(slope, self._tree.parent[1:], pull[1:])
        # Without signs one step arrives, and its inverse is the same for every draw.
        theta = self.backbone.theta_
        free = theta - self._inverse.times(slope + self._unsigned.penalty_slope(theta))
        return self._solve(slope, self._curvature), free

    def reader(self, data: Encoded) -> Callable[[Floats], Floats]:
        """Return what turns coefficients into contributions of these rows: (n, n_signals)."""
        design = self.backbone.design_.transform(data.values)[:, :-1]
        node = self.backbone.nodes(data.segment)
        # The columns of a signal lie side by side.
        signals, starts = np.unique(self.backbone.design_.owner, return_index=True)

        def contributions(theta: Floats) -> Floats:
            found = np.zeros(data.values.shape)
            if len(starts):
                by_column = design * theta[node, :-1]
                found[:, signals] = np.add.reduceat(by_column, starts, axis=1)
            return found

        return contributions

    def _slope(self, weight: Floats) -> Floats:
        return np.array([weight[present] @ slopes for present, slopes in self._slopes])

    def _solve(self, slope: Floats, curvature: Floats) -> Floats:
        """Minimise the quadratic picture of the loss plus the penalty, under the signs."""
        problem = ShrunkenTree(self._tree, self._precision, self.backbone.direction_)
        start = theta = self.backbone.theta_
        resting: NDArray[np.bool_] | None = None
        for _ in range(MOST_STEPS):
            bent = slope + np.einsum("kij,kj->ki", curvature, theta - start)
            step, now = problem.step(Quadratic(bent, curvature), theta)
            before, resting = resting, problem.held(theta, now)
            if before is not None and (resting == before).all():
                break
            theta = problem.project(theta + step)
        return theta
