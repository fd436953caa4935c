"""Boosted trees: on which rows, grown from a starting margin, and joined by their shares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np

from features.errors import sample
from models.arrays import Floats
from models.churn.coded import BLOCK, CodedMatrix
from models.churn.encoding import Encoded, SignalEncoder

# Trees that speak alone are kept small and see few signals each: many of them add up to smooth
# effects of single signals and of pairs, and no window of a measure crowds out its neighbours.
PLAIN: Mapping[str, float] = {
    "learning_rate": 0.08,
    "num_leaves": 4,
    "max_depth": 2,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "lambda_l2": 10.0,
}
# The churn margin falls in a signal whose healthy direction is "higher".
SIGNS = {"higher": -1, "lower": 1}
# What scales with the share of a forest.
_SCALED = re.compile(r"^(leaf_value|internal_value)=(.*)$", re.MULTILINE)
_TREES = re.compile(r"^Tree=\d+\n", re.MULTILINE)
_END = "end of trees"


def declared_signs(healthy: Mapping[str, str], encoder: SignalEncoder) -> Floats:
    """Sign the margin should have in each signal, 0 where none is declared: (n_signals,)."""
    signs = np.zeros(len(encoder.names), dtype=int)
    for name, way in healthy.items():
        if name not in encoder.names or name in encoder.levels:
            raise ValueError(
                "The 'healthy' parameter of ChurnClassifier must name numeric signals of X. "
                f"Got {name!r}; the signals are {sample(encoder.names, 10)}."
            )
        if way not in SIGNS:
            raise ValueError(
                "The 'healthy' parameter of ChurnClassifier must map to 'higher' or 'lower'. "
                f"Got {way!r} for {name!r} instead."
            )
        signs[encoder.names.index(name)] = SIGNS[way]
    return signs


def grow_trees(
    data: Encoded,
    happened: Floats,
    start: Floats,
    *,
    rounds: int,
    categorical: Sequence[int],
    settings: Mapping[str, float],
    direction: Floats | None = None,
    seed: int,
    threads: int,
) -> lgb.Booster:
    """Boost trees from a margin on.

    Parameters
    ----------
    data : Encoded
        Training rows.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    start : ndarray of shape (n,)
        Margin the first tree corrects, in log-odds.
    rounds : int
        Number of trees.
    categorical : sequence of int
        Positions of categorical signals.
    settings : mapping of str to object
        LightGBM's parameters of the trees.
    direction : ndarray of -1, 0 and 1, shape (n_signals,), or None
        Sign no tree may break; None lets all be free.
    seed, threads : int
        Of the sampling of signals, and how many; the result depends on the former alone.
    """
    matrix = data.matrix
    rows = _Dataset(
        matrix if isinstance(matrix, np.ndarray) else _Blocks(matrix),
        happened,
        init_score=start,
        categorical_feature=[*categorical],
        params={"verbosity": -1},
    )
    held = direction is not None and direction.any()
    fixed = {
        "objective": "binary",
        "boost_from_average": False,
        "monotone_constraints": direction.tolist() if direction is not None and held else None,
        "monotone_constraints_method": "intermediate",
        "seed": seed,
        # Histograms are summed in one fixed order, whatever the number of threads.
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
    }
    return lgb.train({**settings, **fixed}, rows, num_boost_round=rounds)


def draw_rows(
    data: Encoded, happened: Floats, share: float, seed: int
) -> tuple[Encoded, Floats, float]:
    """Draw rows without the outcome, and take all with it.

    Parameters
    ----------
    data : Encoded
        Training rows.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    share : float
        Of the rows without the outcome, above 0 and at most 1.
    seed : int
        Of the draw.

    Returns
    -------
    Encoded, ndarray of shape (m,)
        The rows and their outcomes.
    float
        By how much their margin is above that of all rows.
    """
    if share == 1:
        return data, happened, 0.0
    negatives = np.flatnonzero(happened == 0)
    count = max(round(share * len(negatives)), 1)
    drawn = np.random.default_rng(seed).choice(negatives, count, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(happened), drawn]))
    return data.take(rows), happened[rows], float(np.log(len(negatives) / count))


class _Dataset(lgb.Dataset):
    """Leaves out the same constant signals whether rows come whole or in blocks."""

    def get_params(self) -> dict[str, Any]:
        """Tell the least rows of a leaf as well, which LightGBM forgets where rows are blocks."""
        least = "min_data_in_leaf"
        return super().get_params() | {k: v for k, v in (self.params or {}).items() if k == least}


class _Blocks(lgb.Sequence):
    """Coded rows as LightGBM asks for them: some one by one, to cut bins, then all in blocks."""

    batch_size = BLOCK

    def __init__(self, matrix: CodedMatrix) -> None:
        self._matrix = matrix
        self._number, self._block = -1, np.empty((0, 0))

    def __len__(self) -> int:
        return len(self._matrix)

    def __getitem__(self, asked: int | slice | list[int]) -> Floats:
        if not isinstance(asked, int | np.integer):
            return self._matrix[asked if isinstance(asked, slice) else np.array(asked, np.intp)]
        number, place = divmod(int(asked), BLOCK)
        if number != self._number:
            # They are asked for in ascending order.
            block = self._matrix[number * BLOCK : (number + 1) * BLOCK]
            self._number, self._block = number, np.ascontiguousarray(block)
        return np.asarray(self._block[place])


def join_trees(parts: Sequence[tuple[lgb.Booster | None, float]]) -> lgb.Booster | None:
    """Join forests into one that adds up their margins, each times its share.

    Shapley values of sums are sums of Shapley values, so what explains one forest explains the
    joined one.

    Parameters
    ----------
    parts : sequence of (Booster or None, float)
        Forests over the same signals with their shares; those without trees or share are left out.
    """
    speaking = [(booster, share) for booster, share in parts if booster is not None and share]
    if not speaking:
        return None
    if len(speaking) == 1 and speaking[0][1] == 1:
        return speaking[0][0]
    texts = [booster.model_to_string() for booster, _ in speaking]
    head = _TREES.split(texts[0])[0]
    # Sizes in bytes let LightGBM read trees side by side; without them it reads on and on.
    head = re.sub(r"^tree_sizes=.*\n", "", head, flags=re.MULTILINE)
    trees = [
        _scaled(tree, share)
        for text, (_, share) in zip(texts, speaking, strict=True)
        for tree in _TREES.split(text.split(_END)[0])[1:]
    ]
    body = "".join(f"Tree={number}\n{tree}" for number, tree in enumerate(trees))
    return lgb.Booster(model_str=head + body + _END + texts[0].split(_END)[1])


def _scaled(tree: str, share: float) -> str:
    def scale(line: re.Match[str]) -> str:
        values = " ".join(repr(float(value) * share) for value in line[2].split())
        return f"{line[1]}={values}"

    return _SCALED.sub(scale, tree)
