"""Penalised logistic regression in every node of a segment tree, each shrunk toward its parent.

Minimises ``sum of log losses + ½ Σ_k Σ_j P_kj (θ_kj - θ_parent(k)j)²`` over the coefficients θ_k of
all nodes k, some of them bounded to one sign; the root's parent is nothing. With P the precisions
of Gaussian priors this is the posterior mode of a hierarchical model (Gelman and Hill 2007, "Data
Analysis Using Regression and Multilevel/Hierarchical Models", chapter 13). It is solved by
projected Newton steps (Bertsekas 1982, "Projected Newton methods for optimization problems with
simple constraints"), whose linear systems are eliminated node by node, leaves first: the cost grows
with the number of nodes, not with its cube.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from models.arrays import Codes, Floats
from models.churn.design import DesignRows
from models.churn.segment_tree import SegmentTree
from models.churn.threads import one_thread

# Rows converted to double precision at a time.
CHUNK = 32_768
MOST_STEPS = 60
# Curvature is the dear part of a step and need not be exact for the minimum to be.
CURVATURE_ROWS = 100_000


@dataclass(frozen=True)
class Quadratic:
    """The second-order picture of the summed log loss around some coefficients.

    Attributes
    ----------
    slope : ndarray of shape (n_nodes, q)
        First derivatives.
    curvature : ndarray of shape (n_nodes, q, q)
        Second derivatives; nodes do not share rows, so there are none across nodes.
    """

    slope: Floats
    curvature: Floats


class NodeRows:
    """Rows of a design, sorted into the nodes of a tree.

    The design is kept in single precision; sums over rows are made in double precision.

    Parameters
    ----------
    design : ndarray of float32, or DesignRows, of shape (n, q)
        Standardised columns.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    node : ndarray of int, shape (n,)
        Node of each row.
    n_nodes : int
        Number of nodes.
    """

    def __init__(
        self,
        design: NDArray[np.float32] | DesignRows,
        happened: Floats,
        node: Codes,
        n_nodes: int,
    ) -> None:
        order = np.argsort(node, kind="stable")
        limits = np.searchsorted(node[order], np.arange(n_nodes + 1))
        self._members = [order[a:b] for a, b in itertools.pairwise(limits)]
        self._design, self._happened = design, happened
        self.shape = (n_nodes, design.shape[1])

    def thinned(self, most: int) -> NodeRows:
        """Return the same with about ``most`` rows, evenly from every node, and written out."""
        step = max(-(-int(self._sizes().sum()) // most), 1)
        chosen = [rows[::step] for rows in self._members]
        rows = np.concatenate(chosen)
        node = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
        return NodeRows(self._design[rows], self._happened[rows], node, len(chosen))

    @cached_property
    def _few(self) -> NodeRows:
        return self.thinned(CURVATURE_ROWS)

    def chunks(self) -> list[tuple[int, Codes]]:
        """Node and row positions of every chunk."""
        return [
            (node, rows[start : start + CHUNK])
            for node, rows in enumerate(self._members)
            for start in range(0, len(rows), CHUNK)
        ]

    def base_log_odds(self) -> float:
        """Log-odds of the mean outcome, kept finite."""
        base = float(np.clip(self._happened.mean(), 1e-6, 1 - 1e-6))
        return float(np.log(base / (1 - base)))

    def loss(self, theta: Floats) -> float:
        """Sum the log losses, in nats."""
        total = 0.0
        for node, rows in self.chunks():
            margin = self._design[rows].astype(float) @ theta[node]
            total += float(np.logaddexp(0, margin).sum() - self._happened[rows] @ margin)
        return total

    def quadratic(self, theta: Floats) -> Quadratic:
        """First and second derivatives of the summed log loss, the second from an even sample."""
        if self._sizes().sum() > CURVATURE_ROWS:
            few = self._few
            scale = self._sizes() / np.maximum(few._sizes(), 1)
            curvature = few._derivatives(theta).curvature * scale[:, None, None]
            return Quadratic(self._slope(theta), curvature)
        return self._derivatives(theta)

    def _sizes(self) -> Floats:
        return np.array([len(rows) for rows in self._members], dtype=float)

    def _slope(self, theta: Floats) -> Floats:
        slope = np.zeros(self.shape)
        for node, rows in self.chunks():
            block = self._design[rows].astype(float)
            slope[node] += (expit(block @ theta[node]) - self._happened[rows]) @ block
        return slope

    def _derivatives(self, theta: Floats) -> Quadratic:
        slope, curvature = np.zeros(self.shape), np.zeros((*self.shape, self.shape[1]))
        for node, rows in self.chunks():
            block = self._design[rows].astype(float)
            risk = expit(block @ theta[node])
            slope[node] += (risk - self._happened[rows]) @ block
            block *= np.sqrt(risk * (1 - risk))[:, None]
            curvature[node] += block.T @ block
        return Quadratic(slope, curvature)

    def cluster_slopes(self, theta: Floats, cluster: Codes) -> list[tuple[Codes, Floats]]:
        """Sum first derivatives over the rows of each cluster: per node (m,) clusters, (m, q)."""
        found = []
        for node, members in enumerate(self._members):
            present, place = np.unique(cluster[members], return_inverse=True)
            sums = np.zeros((len(present), self.shape[1]))
            for start in range(0, len(members), CHUNK):
                rows = members[start : start + CHUNK]
                block = self._design[rows].astype(float)
                block *= (expit(block @ theta[node]) - self._happened[rows])[:, None]
                np.add.at(sums, place[start : start + CHUNK], block)
            found.append((present, sums))
        return found


class ShrunkenTree:
    """The priors of a tree's coefficients and the linear algebra they share.

    Parameters
    ----------
    tree : SegmentTree
        Who learns from whom.
    precision : ndarray of shape (n_nodes, q)
        Of the prior of each node's coefficients around its parent's, the root's around zero.
    direction : ndarray of shape (q,)
        Sign each column's coefficient must have: -1, 1, or 0 for either.
    """

    def __init__(self, tree: SegmentTree, precision: Floats, direction: Floats) -> None:
        self.tree, self.precision, self.direction = tree, precision, direction

    def apart(self, theta: Floats) -> Floats:
        """Distance of each node's coefficients from its parent's: (n_nodes, q)."""
        return np.vstack([theta[:1], theta[1:] - theta[self.tree.parent[1:]]])

    def penalty(self, theta: Floats) -> float:
        """Half the penalised squares."""
        return float((self.precision * self.apart(theta) ** 2).sum()) / 2

    def penalty_slope(self, theta: Floats) -> Floats:
        """First derivatives of the penalty: (n_nodes, q)."""
        pull = self.precision * self.apart(theta)
        slope = pull.copy()
        np.subtract.at(slope, self.tree.parent[1:], pull[1:])
        return slope

    def project(self, theta: Floats) -> Floats:
        """Set coefficients of the wrong sign to zero."""
        return np.where(theta * self.direction < 0, 0.0, theta)

    def held(self, theta: Floats, slope: Floats) -> NDArray[np.bool_]:
        """Which coefficients rest on their bound: (n_nodes, q)."""
        return np.asarray((self.direction != 0) & (theta == 0) & (slope * self.direction >= 0))

    def step(self, quadratic: Quadratic, theta: Floats) -> tuple[Floats, Floats]:
        """Newton step of the coefficients that are not held, and the slope it starts from."""
        slope = quadratic.slope + self.penalty_slope(theta)
        held = self.held(theta, slope)
        return -self.inverse(quadratic.curvature, held).times(np.where(held, 0.0, slope)), slope

    def inverse(self, curvature: Floats, held: NDArray[np.bool_]) -> NodewiseInverse:
        """Eliminate the nodes of curvature plus penalty, leaves first."""
        with one_thread():
            return NodewiseInverse(self.tree, self.precision, curvature, held)

    def minimise(self, rows: NodeRows, theta: Floats, most_steps: int = MOST_STEPS) -> Floats:
        """Coefficients that minimise loss and penalty: (n_nodes, q)."""
        theta = self.project(theta)
        value = rows.loss(theta) + self.penalty(theta)
        for _ in range(most_steps):
            direction, slope = self.step(rows.quadratic(theta), theta)
            reach = 1.0
            while reach > 1e-6:
                ahead = self.project(theta + reach * direction)
                ahead_value = rows.loss(ahead) + self.penalty(ahead)
                if ahead_value <= value + 1e-4 * float((slope * (ahead - theta)).sum()):
                    break
                reach /= 2
            else:
                return theta
            gained, value, theta = value - ahead_value, ahead_value, ahead
            if gained <= 1e-9 * max(1.0, abs(value)):
                break
        return theta


class NodewiseInverse:
    """The inverse of curvature plus penalty over the coefficients that are not held.

    Attributes
    ----------
    blocks : list of ndarray of shape (q, q)
        Covariance of a node's coefficients when those of its parent are given.
    """

    def __init__(
        self, tree: SegmentTree, precision: Floats, curvature: Floats, held: NDArray[np.bool_]
    ) -> None:
        self._tree, self._precision = tree, precision
        gathered = curvature + precision[:, :, None] * np.eye(precision.shape[1])
        self.blocks: list[Floats] = [np.empty(0)] * tree.size
        for node in range(tree.size - 1, -1, -1):
            block = self.blocks[node] = _inverse_of_free(gathered[node], ~held[node])
            if node:
                # What is left of the pull on its parent once the node has moved along.
                own = precision[node]
                gathered[tree.parent[node]] += np.diag(own) - own[:, None] * block * own

    def times(self, right: Floats) -> Floats:
        """Multiply (n_nodes, q) from the left."""
        gathered = right.copy()
        for node in range(self._tree.size - 1, 0, -1):
            moved = self.blocks[node] @ gathered[node]
            gathered[self._tree.parent[node]] += self._precision[node] * moved
        solution = np.empty_like(right)
        for node, block in enumerate(self.blocks):
            if node:
                gathered[node] += self._precision[node] * solution[self._tree.parent[node]]
            solution[node] = block @ gathered[node]
        return solution

    def variances_apart(self) -> Floats:
        """Variance of each node's distance from its parent, the root's of itself: (n_nodes, q)."""
        covariances: list[Floats] = []
        found = np.empty_like(self._precision)
        for node, block in enumerate(self.blocks):
            if not node:
                covariances.append(block)
                found[node] = np.diag(block)
                continue
            above = covariances[self._tree.parent[node]]
            across = (block * self._precision[node]) @ above
            own = block + (across * self._precision[node]) @ block
            found[node] = np.diag(own) + np.diag(above) - 2 * np.diag(across)
            covariances.append(own)
        return found


def _inverse_of_free(matrix: Floats, free: NDArray[np.bool_]) -> Floats:
    inverse = np.zeros_like(matrix)
    inside = np.ix_(free, free)
    inverse[inside] = cho_solve(cho_factor(matrix[inside]), np.eye(int(free.sum())))
    return inverse
