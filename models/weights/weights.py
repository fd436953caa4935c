"""Learned weights: the share of each signal group in what moves the margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import CONTEXT, EVERYBODY, Signal, groups_of
from models.arrays import Codes, Floats

Weights = dict[str, dict[str, float]]


def group_points(points: Floats, signals: Sequence[Signal]) -> pd.DataFrame:
    """Sum points over signal groups.

    Parameters
    ----------
    points : ndarray of shape (n, n_signals)
        Points, or contributions: sums of either are meaningful.
    signals : sequence of Signal
        What the columns are.

    Returns
    -------
    DataFrame of n rows
        One column per group that occurs, in catalogue order.
    """
    members = {
        group: [i for i, signal in enumerate(signals) if signal.group == group]
        for group in groups_of(signals)
    }
    return pd.DataFrame({group: points[:, rows].sum(axis=1) for group, rows in members.items()})


def group_weights(
    contributions: Floats, segment: Sequence[str] | Any, signals: Sequence[Signal]
) -> Weights:
    """Share of each group in the margin's movement, per segment and over all rows.

    The weight of a group is the mean absolute sum of its signals' contributions, as a share of
    that of all groups but the profile. Contributions are recentred in the segment, so a weight is
    about what sets accounts of one segment apart.

    Parameters
    ----------
    contributions : ndarray of shape (n, n_signals)
        Recentred contributions to the margin.
    segment : array of str, shape (n,)
        Segments.
    signals : sequence of Signal
        What the columns are.

    Returns
    -------
    dict of str to dict of str to float
        Segment, or "all", to group to weight; a segment's weights sum to 100, or are all zero
        when no signal moved its margin.
    """
    moved = group_points(contributions, signals).abs()
    return _shares(moved.drop(columns=CONTEXT, errors="ignore"), segment)


def signal_weights(
    contributions: Floats, segment: Sequence[str] | Any, signals: Sequence[Signal]
) -> Weights:
    """Share of each signal, the profile included; otherwise as :func:`group_weights`."""
    names = [signal.name for signal in signals]
    return _shares(pd.DataFrame(np.abs(contributions), columns=names), segment)


def signal_shares(
    signals: Sequence[Signal], segments: Sequence[str], weights: Mapping[str, Mapping[str, float]]
) -> Floats:
    """Arrange the weights of signals as shares of one.

    Parameters
    ----------
    signals : sequence of Signal
        Whose weights are wanted.
    segments : sequence of str
        Segments; one without weights of its own is read as "all".
    weights : mapping of str to mapping of str to float
        From :func:`signal_weights`.

    Returns
    -------
    ndarray of shape (n_segments, n_signals)
        Equal shares where no signal has weight.
    """
    table = np.array(
        [[weights.get(name, weights[EVERYBODY])[s.name] for s in signals] for name in segments]
    ).reshape(len(segments), len(signals))
    table[table.sum(axis=1) == 0] = 1
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def observed_share(values: Floats, segment: Codes, shares: Floats) -> Floats:
    """Share of weight that was observed, from 0 to 1: the coverage of each row.

    Parameters
    ----------
    values : ndarray of shape (n, n_signals)
        Signals, NaN where unknown.
    segment : ndarray of int, shape (n,)
        Row of ``shares`` that each row's segment has.
    shares : ndarray of shape (n_segments, n_signals)
        From :func:`signal_shares`.

    Returns
    -------
    ndarray of shape (n,)
    """
    share = np.zeros(len(values))
    # Signal by signal: a sum over the axis would depend on how many rows stand beside each other.
    for signal in range(values.shape[1]):
        share += np.where(np.isnan(values[:, signal]), 0.0, shares[segment, signal])
    return np.clip(share, 0.0, 1.0)


def _shares(moved: pd.DataFrame, segment: Any) -> Weights:
    labels = np.asarray(segment, dtype=object)
    means = {str(name): moved[labels == name].mean() for name in sorted(set(labels))}
    means[EVERYBODY] = moved.mean()
    return {
        name: {str(part): float(share) for part, share in _to_hundred(mean).items()}
        for name, mean in means.items()
    }


def _to_hundred(mean: pd.Series) -> pd.Series:
    return 100 * mean / mean.sum() if mean.sum() else mean
