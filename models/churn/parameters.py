"""The parameters of the churn classifier: what each may be, checked when it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real

Rule = tuple[str, Callable[[object], bool]]


def check_parameters(owner: str, parameters: Mapping[str, object]) -> None:
    """Refuse what a parameter must not be.

    Raises
    ------
    ValueError
        Names the parameter, what it must be and what it is.

    Examples
    --------
    >>> check_parameters("ChurnClassifier", {"num_leaves": 1})
    Traceback (most recent call last):
    ValueError: The 'num_leaves' parameter of ChurnClassifier must be an int from 2 on...
    """
    for name, value in parameters.items():
        words, holds = RULES[name]
        if not holds(value):
            raise ValueError(
                f"The {name!r} parameter of {owner} must be {words}. Got {value!r} instead."
            )


def _whole(least: int) -> Rule:
    return f"an int from {least} on", lambda x: isinstance(x, Integral) and int(x) >= least


def _real(words: str, holds: Callable[[float], bool]) -> Rule:
    return f"a float {words}", lambda x: isinstance(x, Real) and holds(float(x))


def _or_none(rule: Rule) -> Rule:
    return f"{rule[0]}, or None", lambda x: x is None or rule[1](x)


def _one_of(kind: type, words: str) -> Rule:
    return words, lambda x: isinstance(x, kind)


_FLAG = _one_of(bool, "True or False")
_POSITIVE = _real("above 0", lambda x: x > 0)
_NAMES = _or_none(_one_of(dict, "a dict"))

RULES: Mapping[str, Rule] = {
    "segment_column": _or_none(_one_of(str, "a str")),
    "backbone": _FLAG,
    "n_rounds": _whole(0),
    "learning_rate": _POSITIVE,
    "num_leaves": _whole(2),
    "max_depth": _whole(1),
    "min_child_samples": _whole(1),
    "feature_fraction": _real("above 0, at most 1", lambda x: 0 < x <= 1),
    "reg_lambda": _real("from 0 on", lambda x: x >= 0),
    "shrinkage": _POSITIVE,
    "segment_shrinkage": _POSITIVE,
    "min_segment_positives": _whole(1),
    "tree_share": _real("from 0 to 1", lambda x: 0 <= x <= 1),
    "tree_rounds": _whole(1),
    "hold_directions": _FLAG,
    "healthy": _NAMES,
    "groups": _NAMES,
    "negatives": _real("above 0, at most 1", lambda x: 0 < x <= 1),
    "random_state": _or_none(
        ("an int from 0 to 2147483647", lambda x: isinstance(x, Integral) and 0 <= int(x) < 2**31)
    ),
    "n_jobs": _or_none(_one_of(Integral, "an int")),
}
