"""A model's SHAP values, compiled once and read off tables ever after."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import ArrayLike

from features.errors import DataError, RegistryError
from models.arrays import Codes, Floats
from models.tree_shap.run.additive_part import AdditivePart
from models.tree_shap.run.backends import Backends, contributions
from models.tree_shap.run.explanation import Explanation
from models.tree_shap.run.plan_file import PlanParts, fingerprint, read_plan, write_plan

logger = logging.getLogger(__name__)

# Rows compared with LightGBM before a plan is trusted, and the difference that is too much.
CHECKED_ROWS, TOLERATED = 256, 1e-5


class ShapPlan:
    """Exact SHAP values of a margin: of boosted trees and of an additive part beside them.

    Made by :meth:`compile` or :meth:`load`. Values are the same to the last bit whatever the
    batch they are asked in and the number of threads. A plan of a model that tables cannot hold
    asks LightGBM for its values instead, which is slower, and says so once in the log.
    """

    def __init__(self, parts: PlanParts, booster: lgb.Booster | None) -> None:
        self._parts, self._booster = parts, booster
        self._backends = Backends(parts, booster)
        self._unchecked = CHECKED_ROWS
        base = np.zeros(2) if parts.additive is None else parts.additive.base
        grid = math.ldexp(1.5, 52 - parts.grid_bits)
        self._base = (base + parts.expected_value + grid) - grid
        _say_slower(parts)

    @classmethod
    def compile(
        cls,
        booster: lgb.Booster | None,
        *,
        background: ArrayLike | None = None,
        additive: AdditivePart | None = None,
    ) -> ShapPlan:
        """Work out the tables of a model.

        Parameters
        ----------
        booster : lightgbm.Booster or None
            Trees of one output; None where the model is its additive part alone.
        background : array-like of shape (n, n_features) or None, default=None
            Rows that stand for what is not known of an account, for interventional values; None
            for path-dependent ones.
        additive : AdditivePart or None, default=None
            What is added to the trees' values.

        Raises
        ------
        RegistryError
            When not even LightGBM can tell the values of such a model, when interventional values
            are asked of one that tables cannot hold, or when trees and additive part are not of
            one model.
        DataError
            When the background has no rows or columns of another model.
        """
        # Whoever reads a plan from its file has no need of what builds one.
        from models.tree_shap.build.compiling import compile_parts

        if background is not None:
            background = _matrix(background, None if booster is None else booster.num_feature())
            if not len(background):
                raise DataError(
                    "The background of interventional SHAP values must have rows, but has none; "
                    "pass a sample of about 100 accounts."
                )
        return cls(compile_parts(booster, background, additive), booster)

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self._parts.n_features

    @property
    def expected_value(self) -> float:
        """Margin of the trees before anything is known of a row."""
        return self._parts.expected_value

    @property
    def fallback(self) -> str | None:
        """Why values come from LightGBM and not from tables; None where they do not."""
        return self._parts.fallback

    @property
    def nbytes(self) -> int:
        """Memory of the tables, in bytes."""
        return self._parts.tables.nbytes

    def base_values(self, segment: ArrayLike | None, n: int) -> Floats:
        """Margin the values of n rows are counted from: (n,)."""
        return np.asarray(self._base[self._segments(segment, n)])

    def expect(self, rows: int) -> None:
        """Prepare for so many rows in all, before their first batch.

        A plan changes from numpy to compiled code, which takes about a second to load, once it has
        seen rows enough; told how many will come, it does so at once, or not at all.
        """
        self._backends.expect(rows)

    def shap_values(
        self, X: ArrayLike, *, segment: ArrayLike | None = None, n_threads: int | None = None
    ) -> Floats:
        """Value of every feature.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Encoded rows, NaN where unknown.
        segment : array-like of int, shape (n,), or None, default=None
            Code of each row's segment in the additive part, -1 for one that was never seen; None
            for the first.
        n_threads : int or None, default=None
            Most threads to use; None for all processors.

        Returns
        -------
        ndarray of shape (n, n_features)
            With :meth:`base_values` they sum to the margin.

        Raises
        ------
        DataError
            When X or the segments do not fit the model.
        """
        rows = _matrix(X, self.n_features)
        codes = self._segments(segment, len(rows))
        self._check(rows, codes)
        return self._backends.shap_values(rows, codes, _threads(n_threads))

    def explain(
        self,
        X: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        top_k: int = 5,
        segment: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> Explanation:
        """Margin, sums over groups and largest values in one pass, without keeping all values.

        Parameters
        ----------
        X, segment, n_threads
            As in :meth:`shap_values`.
        groups : array-like of int, shape (n_features,), or None, default=None
            Group of each feature, from 0; None for no groups.
        top_k : int, default=5
            How many features to name per row.

        Returns
        -------
        Explanation

        Raises
        ------
        DataError
            When X, the segments, the groups or ``top_k`` do not fit the model.
        """
        rows = _matrix(X, self.n_features)
        codes = self._segments(segment, len(rows))
        group, n_groups = self._groups(groups)
        if top_k < 0:
            raise DataError(
                f"top_k must not be below 0, but is {top_k}; pass how many features to name."
            )
        self._check(rows, codes)
        base = np.asarray(self._base[codes])
        return self._backends.explain(
            rows, codes, _threads(n_threads), base, group, n_groups, top_k
        )

    def matches(self, booster_text: str | None) -> bool:
        """Tell whether the plan is of these trees, given in LightGBM's text format."""
        return self._parts.trees == (None if booster_text is None else fingerprint(booster_text))

    def save(self, folder: Path) -> None:
        """Write the plan into a folder."""
        write_plan(folder, self._parts)

    @classmethod
    def load(cls, folder: Path, *, booster: lgb.Booster | None = None) -> ShapPlan:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        folder : Path
            Folder the plan was saved in.
        booster : lightgbm.Booster or None, default=None
            Its model: the first rows are then compared with LightGBM's own values.

        Raises
        ------
        RegistryError
            When there is no plan, it is damaged or of another format or model, or it needs a
            booster and none is given.
        """
        parts = read_plan(folder)
        if booster is not None and parts.trees != fingerprint(booster.model_to_string()):
            raise RegistryError(
                f"The SHAP plan in {str(folder)!r} must be of the model it is used with, but is of "
                "other trees; compile it again from its model."
            )
        if booster is None and parts.fallback is not None:
            raise RegistryError(
                f"The SHAP plan in {str(folder)!r} asks LightGBM for its values, because "
                f"{parts.fallback}; load it with its booster."
            )
        return cls(parts, booster)

    def _segments(self, segment: ArrayLike | None, n: int) -> Codes:
        """Rows of the base values: an unseen segment is the last."""
        if segment is None:
            return np.zeros(n, np.intp)
        codes, last = np.asarray(segment), len(self._base) - 1
        if codes.shape != (n,) or codes.dtype.kind not in "iu":
            raise DataError(
                f"The segments of {n} rows must be as many integers, but are an array of "
                f"{codes.dtype} of shape {codes.shape}; pass the codes of the model's encoder."
            )
        if n and not -1 <= codes.min() <= codes.max() < last:
            raise DataError(
                f"Codes of segments must lie between -1 and {last - 1}, but go from {codes.min()} "
                f"to {codes.max()}; pass the codes of the model's encoder."
            )
        return np.where(codes < 0, last, codes).astype(np.intp)

    def _groups(self, groups: ArrayLike | None) -> tuple[Codes, int]:
        if groups is None:
            return np.zeros(self.n_features, np.intp), 0
        group = np.asarray(groups)
        if group.shape != (self.n_features,) or group.dtype.kind not in "iu" or group.min() < 0:
            raise DataError(
                f"The groups must be one integer from 0 for each of {self.n_features} features, "
                f"but are an array of {group.dtype} of shape {group.shape}; number them from 0."
            )
        return group.astype(np.intp), int(group.max()) + 1

    def _check(self, X: Floats, segment: Codes) -> None:
        """Compare the first rows with LightGBM, and ask it from then on if they differ."""
        if self._booster is None or self.fallback is not None or not self._unchecked * len(X):
            return
        chosen = np.unique(np.linspace(0, len(X) - 1, self._unchecked).astype(np.intp))
        self._unchecked = max(self._unchecked - len(chosen), 0)
        rows, codes, parts = X[chosen], segment[chosen], self._parts
        values = self._backends.shap_values(rows, codes, 1)
        if parts.additive is not None:
            values -= parts.additive.values(rows, codes)
        if parts.interventional:
            values = values.sum(axis=1) + parts.expected_value
            wanted = np.asarray(self._booster.predict(rows, raw_score=True))
        else:
            wanted = contributions(self._booster, rows)
        apart = float(np.abs(values - wanted).max())
        if apart <= TOLERATED * max(1.0, float(np.abs(wanted).max())):
            return
        if parts.interventional:
            raise RegistryError(
                f"SHAP values must sum to the margin of the model, but are off by {apart:.1e}; "
                "compile the plan again from its model."
            )
        self._parts = replace(parts, fallback=f"its tables are off by {apart:.1e}")
        self._backends = Backends(self._parts, self._booster)
        _say_slower(self._parts)


def _say_slower(parts: PlanParts) -> None:
    if parts.fallback is not None:
        logger.warning(
            "SHAP values of this model come from LightGBM itself, a hundred times slower than from "
            "tables, because %s.",
            parts.fallback,
        )


def _matrix(X: ArrayLike, n_features: int | None) -> Floats:
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or (n_features is not None and rows.shape[1] != n_features):
        raise DataError(
            f"Rows to explain must have {n_features} columns, one per signal of the model, but the "
            f"array has shape {rows.shape}; pass what the model's encoder returns."
        )
    return rows


def _threads(wanted: int | None) -> int:
    if wanted is not None:
        return max(wanted, 1)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux knows
        return os.cpu_count() or 1
