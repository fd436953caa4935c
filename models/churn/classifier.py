"""The churn model: a linear backbone per segment and a LightGBM correction that starts from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from features.json_values import Json
from models.arrays import Floats
from models.churn.backbone import LinearBackbone
from models.churn.coded import CodedTable, Rows
from models.churn.encoding import Encoded, SignalEncoder


class ChurnClassifier(ClassifierMixin, BaseEstimator):
    """Binary classifier whose margin splits exactly into one value per signal.

    The margin (log-odds of churn) is a convex combination of two shapes: a shrunken logistic
    regression per segment with boosted trees fitted from its margin on, and small trees that start
    from the base rate and may hold declared directions. No tree sees the segment, so what a
    segment changes is in the backbone's coefficients, where it can be read as a weight.

    Parameters
    ----------
    segment_column : str or None, default=None
        Column of X that holds the segment. It is not a signal. None means one segment.
    backbone : bool, default=True
        Whether the margin starts from the linear backbone; otherwise from the base rate.
    n_rounds : int, default=60
        Boosting rounds of the correction; 0 leaves the backbone alone.
    learning_rate : float, default=0.05
        Shrinkage of each tree.
    num_leaves : int, default=8
        Leaves per tree.
    max_depth : int, default=5
        Depth of a tree.
    min_child_samples : int, default=50
        Rows in a leaf.
    feature_fraction : float, default=0.8
        Share of signals a tree may use.
    reg_lambda : float, default=10.0
        L2 penalty on leaf values.
    shrinkage : float, default=1.0
        Factor on the learnt penalty of the backbone's shared coefficients.
    segment_shrinkage : float, default=1.0
        Factor on the learnt penalty of a segment's distance from its parent.
    min_segment_positives : int, default=20
        With fewer positives a segment uses the shared coefficients.
    tree_share : float, default=0.0
        Share of the margin that small trees alone have, from 0 to 1; the backbone and its
        correction have the rest.
    tree_rounds : int, default=130
        Boosting rounds of the trees alone.
    hold_directions : bool, default=True
        Whether the trees alone keep the declared healthy directions.
    healthy : dict of str to {"higher", "lower"} or None, default=None
        Declared healthy directions. They are claims about the whole effect of a signal and not
        about its effect beside its neighbours, so the backbone and its correction are free of
        them; where the trees alone hold them, their margin never rises in a signal that is healthy
        when higher.
    groups : dict of str to str or None, default=None
        Group of each signal: those of one group are shrunk alike in the backbone. Signals left out
        form one more.
    negatives : float, default=1.0
        Share of the rows without churn that is learnt from, drawn by chance. The margin is higher
        by one amount for it, which is taken off (Prentice and Pyke 1979, "Logistic disease
        incidence models and case-control studies").
    random_state : int or None, default=None
        Seed of the column sampling; None is 0, so a fit is always reproducible.
    n_jobs : int or None, default=None
        Threads; the result does not depend on it. None means one, -1 all.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Labels; the second is churn.
    encoder_ : SignalEncoder
        Signals, categories and segments.
    backbone_ : LinearBackbone or None
        The linear part, times its share.
    full_backbone_ : LinearBackbone or None
        The same before that, as it was fitted; None in a model that was read from a file.
    booster_ : lightgbm.Booster or None
        All trees, each times its share; None where there are none.
    prior_ : float
        Log-odds the margin starts from when there is no backbone.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> y = rng.random(500) < 1 / (1 + np.exp(1 - X[:, 0]))
    >>> model = ChurnClassifier(n_rounds=10).fit(X, y)
    >>> parts = model.base_margin(X) + model.contributions(X).sum(axis=1)
    >>> bool(np.allclose(parts, model.decision_function(X), atol=1e-9))
    True
    """

    classes_: NDArray[np.generic]
    encoder_: SignalEncoder
    backbone_: LinearBackbone | None
    full_backbone_: LinearBackbone | None
    booster_: lgb.Booster | None
    prior_: float

    def __init__(
        self,
        *,
        segment_column: str | None = None,
        backbone: bool = True,
        n_rounds: int = 60,
        learning_rate: float = 0.05,
        num_leaves: int = 8,
        max_depth: int = 5,
        min_child_samples: int = 50,
        feature_fraction: float = 0.8,
        reg_lambda: float = 10.0,
        shrinkage: float = 1.0,
        segment_shrinkage: float = 1.0,
        min_segment_positives: int = 20,
        tree_share: float = 0.0,
        tree_rounds: int = 130,
        hold_directions: bool = True,
        healthy: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
        negatives: float = 1.0,
        random_state: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.segment_column = segment_column
        self.backbone = backbone
        self.n_rounds = n_rounds
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.min_child_samples = min_child_samples
        self.feature_fraction = feature_fraction
        self.reg_lambda = reg_lambda
        self.shrinkage = shrinkage
        self.segment_shrinkage = segment_shrinkage
        self.min_segment_positives = min_segment_positives
        self.tree_share = tree_share
        self.tree_rounds = tree_rounds
        self.hold_directions = hold_directions
        self.healthy = healthy
        self.groups = groups
        self.negatives = negatives
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike | Rows, y: ArrayLike) -> ChurnClassifier:
        """Fit the backbone, then the correction.

        Parameters
        ----------
        X : array-like, DataFrame or CodedTable of shape (n, n_columns)
            Signals, NaN where unknown; columns with names may hold categories and the segment.
        y : array-like of shape (n,)
            Two classes; the larger label is churn.

        Returns
        -------
        ChurnClassifier
            The fitted classifier.
        """
        # A classifier read from its files has no need of what teaches one.
        from models.churn.parameters import check_parameters
        from models.churn.trees import PLAIN, declared_signs, draw_rows, grow_trees, join_trees

        check_parameters(type(self).__name__, self.get_params())
        X, y = self._validated(X, y)
        check_classification_targets(y)
        if (kind := type_of_target(y, input_name="y")) != "binary" or len(np.unique(y)) < 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{kind}, with {len(np.unique(y))} class(es); two classes are needed."
            )
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.encoder_ = SignalEncoder.fit(X, self.segment_column)
        direction = declared_signs(self.healthy or {}, self.encoder_)
        data, happened, surplus = draw_rows(
            self.encoder_.transform(X), codes.astype(float), self.negatives, self.random_state or 0
        )
        self.prior_ = float(logit(happened.mean()))
        share = float(self.tree_share)
        self.full_backbone_ = self._fitted_backbone(data, happened) if share < 1 else None
        grow = partial(
            grow_trees,
            data,
            happened,
            categorical=self.encoder_.categorical,
            seed=self.random_state or 0,
            threads=1 if self.n_jobs is None else max(self.n_jobs, 0),
        )
        correction, alone = None, None
        if share < 1 and self.n_rounds:
            start = self._margin_of(self.full_backbone_, data)
            correction = grow(start, rounds=self.n_rounds, settings=self._settings())
        if share > 0:
            start = np.full(len(happened), self.prior_)
            held = direction if self.hold_directions else None
            alone = grow(start, rounds=self.tree_rounds, settings=PLAIN, direction=held)
        self.booster_ = join_trees([(correction, 1 - share), (alone, share)])
        self.prior_ -= surplus
        if self.full_backbone_ is not None and surplus:
            self.full_backbone_ = self.full_backbone_.scaled(1.0, -surplus)
        self.backbone_ = self.full_backbone_
        if self.full_backbone_ is not None and share:
            self.backbone_ = self.full_backbone_.scaled(1 - share, share * self.prior_)
        return self

    def decision_function(self, X: ArrayLike | Rows) -> Floats:
        """Margin, the raw log-odds of churn: (n,)."""
        return self.encoded_margin(self._encoded(X))

    def encoded_margin(self, data: Encoded) -> Floats:
        """Margin of encoded rows: (n,)."""
        return self._margin_of(self.backbone_, data) + self.tree_margin(data)

    def predict_proba(self, X: ArrayLike | Rows) -> Floats:
        """Uncalibrated probabilities of stay and churn: (n, 2)."""
        margin = self.decision_function(X)
        return np.column_stack([expit(-margin), expit(margin)])

    def predict(self, X: ArrayLike | Rows) -> Floats:
        """More probable class of each row: (n,)."""
        likelier = (self.decision_function(X) > 0).astype(int)
        return np.asarray(self.classes_[likelier])

    def contributions(self, X: ArrayLike | Rows) -> Floats:
        """SHAP value of each signal on the margin: (n, n_signals).

        For the backbone ``coefficient * (x - mean in the segment)``, for the trees the
        path-dependent values of Lundberg et al. (2020), "From local explanations to global
        understanding with explainable AI for trees". With :meth:`base_margin` they sum to
        :meth:`decision_function`.
        """
        data = self._encoded(X)
        trees = self.tree_contributions(data)
        return trees if self.backbone_ is None else self.backbone_.contributions(data) + trees

    def tree_contributions(self, data: Encoded) -> Floats:
        """SHAP value of each signal on the correction alone, from encoded rows: (n, n_signals)."""
        if self.booster_ is None:
            return np.zeros(data.matrix.shape)
        return self._trees(data, pred_contrib=True)[:, :-1]

    def tree_margin(self, data: Encoded) -> Floats:
        """Margin the correction adds to encoded rows: (n,)."""
        return self._trees(data, raw_score=True)

    def base_margin(self, X: ArrayLike | Rows) -> Floats:
        """Part of the margin no signal of the row has moved; one value per segment: (n,)."""
        data, backbone = self._encoded(X), self.backbone_
        base = np.full(len(data), self.prior_) if backbone is None else backbone.base_margin(data)
        if self.booster_ is not None:
            # The trees' expected value is the same for every row.
            unknown = Encoded(np.full((1, data.matrix.shape[1]), np.nan), np.zeros(1, np.intp))
            base = base + self._trees(unknown, pred_contrib=True)[0, -1]
        return base

    def staged_margins(self, X: ArrayLike | Rows, rounds: Sequence[int]) -> Floats:
        """Margins after each of some increasing numbers of rounds: (n, len(rounds)).

        Only of a model of one shape, whose ``tree_share`` is 0 or 1.
        """
        data = self._encoded(X)
        margin, done, stages = self._margin_of(self.backbone_, data), 0, []
        for count in rounds:
            if count > done:
                margin = margin + self._trees(
                    data, raw_score=True, start_iteration=done, num_iteration=count - done
                )
            done = count
            stages.append(margin)
        return np.column_stack(stages)

    def correction_text(self) -> str | None:
        """Trees in LightGBM's own text format, or None without a correction."""
        return None if self.booster_ is None else self.booster_.model_to_string()

    def to_dict(self) -> Json:
        """Return a JSON-ready description of everything but the trees."""
        check_is_fitted(self, "encoder_")
        # Versions that know no sampling read a model that was taught with all rows as well.
        settings = {k: v for k, v in self.get_params().items() if (k, v) != ("negatives", 1)}
        return {
            "settings": settings,
            "classes": self.classes_.tolist(),
            "columns": self._columns(),
            "encoder": self.encoder_.to_dict(),
            "prior": self.prior_,
            "backbone": None if self.backbone_ is None else self.backbone_.to_dict(),
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], correction: str | None) -> ChurnClassifier:
        """Rebuild a fitted classifier from :meth:`to_dict` and :meth:`correction_text`."""
        model = cls(**described["settings"])
        model.classes_ = np.array(described["classes"])
        model.encoder_ = SignalEncoder.from_dict(described["encoder"])
        model.n_features_in_ = len(described["columns"])
        model.feature_names_in_ = np.array(described["columns"], dtype=object)
        model.prior_ = described["prior"]
        backbone = described["backbone"]
        model.full_backbone_ = None
        model.backbone_ = None if backbone is None else LinearBackbone.from_dict(backbone)
        model.booster_ = None if correction is None else lgb.Booster(model_str=correction)
        return model

    def _fitted_backbone(self, data: Encoded, happened: Floats) -> LinearBackbone | None:
        if not self.backbone:
            return None
        groups = dict(self.groups or {})
        kinds = [groups.get(name, "") for name in self.encoder_.names]
        return LinearBackbone(
            shrinkage=self.shrinkage,
            segment_shrinkage=self.segment_shrinkage,
            min_positives=self.min_segment_positives,
        ).fit(
            data,
            happened,
            categorical=self.encoder_.categorical,
            segments=self.encoder_.segments,
            group=[sorted(set(kinds)).index(kind) for kind in kinds],
        )

    def _settings(self) -> dict[str, float]:
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "max_depth": self.max_depth,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": self.feature_fraction,
            "lambda_l2": self.reg_lambda,
        }

    def _trees(self, data: Encoded, **how: Any) -> Floats:
        if self.booster_ is None:
            return np.zeros(len(data))
        return np.concatenate([self.booster_.predict(part, **how) for _, part in data.blocks()])

    def _margin_of(self, backbone: LinearBackbone | None, data: Encoded) -> Floats:
        if backbone is None:
            return np.full(len(data), self.prior_)
        return backbone.margin(data)

    def _validated(self, X: Any, y: Any) -> tuple[Rows, Floats]:
        if y is None:
            raise ValueError("ChurnClassifier requires y to be passed, but the target y is None.")
        if not isinstance(X, Rows):
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
            return pd.DataFrame(X, columns=self._columns()), y
        y = validate_data(self, X="no_validation", y=y)
        check_consistent_length(X, y)
        return self._checked_frame(X, reset=True), y

    def _encoded(self, X: Any) -> Encoded:
        check_is_fitted(self, "encoder_")
        if not isinstance(X, Rows):
            X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
            return self.encoder_.transform(pd.DataFrame(X, columns=self._columns()))
        return self.encoder_.transform(self._checked_frame(X, reset=False))

    def _checked_frame(self, X: Rows, *, reset: bool) -> Rows:
        named = pd.DataFrame(columns=[*X.columns]) if isinstance(X, CodedTable) else X
        validate_data(self, named, reset=reset, skip_check_array=True)
        if not len(X):
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
        if isinstance(X, CodedTable):
            return X
        # Names are text from here on, as those of a plain array are.
        return X.set_axis(self._columns(), axis=1)

    def _columns(self) -> list[str]:
        if hasattr(self, "feature_names_in_"):
            return [str(name) for name in self.feature_names_in_]
        return [f"x{position}" for position in range(self.n_features_in_)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags
