"""Figures from finished measurements: captured shares, calibration, weights and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from models.arrays import Floats
from models.measures.resampling import TAILS

OURS = "healthscore"
LARGE_SEGMENT = 2_000

Found = dict[str, Any]


def captured(
    models: Mapping[str, Sequence[Found]], ours: Sequence[Found], loss: str = "log_loss"
) -> dict[str, Found]:
    """Captured share of the explainable log loss of each model, its mean over companies.

    ``models`` and ``ours`` hold one measurement per company, in the same order. Draws of one
    company are paired across models; companies are independent, so their draws are averaged.
    """
    shares = {
        name: np.mean(
            [_share(each, company, loss) for each, company in zip(found, ours, strict=True)], axis=0
        )
        for name, found in models.items()
    }
    summed = {
        name: {
            "captured": float(draws[0]),
            **_bounds(draws),
            "by_company": [
                float(_share(each, company, loss)[0])
                for each, company in zip(models[name], ours, strict=True)
            ],
        }
        for name, draws in shares.items()
    }
    for name, figures in summed.items():
        if name != OURS:
            ahead = shares[OURS] - shares[name]
            figures["ours_ahead"] = {"mean": float(ahead[0]), **_bounds(ahead)}
    return summed


def best_peer(shares: Mapping[str, Found]) -> str | None:
    """Name the peer that captured most, the one a reader would hold against us."""
    peers = [name for name in shares if name != OURS]
    return max(peers, key=lambda name: shares[name]["captured"], default=None)


def calibration(ours: Sequence[Found]) -> Found:
    """Average the calibration error over companies; name the worst segment of a size to tell."""
    parts = [
        {"segment": name, **measured}
        for found in ours
        for name, measured in found["segments"].items()
    ]
    large = [part for part in parts if part["accounts"] >= LARGE_SEGMENT]
    worst = max(large, key=lambda part: part["ece"], default=None)
    whole = [found["calibration"] for found in ours]
    return {
        "ece": float(np.mean([each["ece"] for each in whole])),
        "ece_by_chance": float(np.mean([each["ece_by_chance"] for each in whole])),
        "worst_large_segment": worst,
        "segments": parts,
    }


def weight_rows(found: Sequence[Found | None]) -> pd.DataFrame:
    """One row per company, segment and group: true and learnt weight, and the interval if any."""
    rows = [
        {
            "company": number,
            "segment": segment,
            "group": group,
            "true": true,
            "learnt": each["weights"][segment].get(group, 0.0),
            "low": _bound(each, segment, group, 0),
            "high": _bound(each, segment, group, 1),
        }
        for number, each in enumerate(found)
        if each is not None
        for segment, groups in each["true_weights"].items()
        # One too small to speak has no weights of its own to be right or wrong.
        if segment in each["weights"]
        for group, true in groups.items()
    ]
    columns = ["company", "segment", "group", "true", "learnt", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def weight_error(rows: pd.DataFrame) -> Found:
    """Mean absolute and mean signed error in points of 100."""
    error = rows["learnt"] - rows["true"]
    absolute = error.abs()
    return {
        "mean": float(absolute.mean()) if len(rows) else None,
        "by_segment": absolute.groupby(rows["segment"]).mean().to_dict(),
        "bias": {
            segment: part.groupby(rows["group"]).mean().to_dict()
            for segment, part in error.groupby(rows["segment"])
        },
    }


def weight_coverage(rows: pd.DataFrame) -> Found:
    """Share of true weights inside their intervals, with an interval over companies."""
    rows = rows.dropna(subset=["low", "high"])
    inside = (rows["low"] <= rows["true"]) & (rows["true"] <= rows["high"])
    by_company = inside.groupby(rows["company"]).mean().to_numpy()
    if not len(by_company):
        return {"coverage": None, "companies": 0}
    # Weights of one company sum to 100 and err together: the company is the unit.
    chance = np.random.default_rng(0)
    drawn = chance.choice(by_company, (2_000, len(by_company))).mean(axis=1)
    low, high = np.quantile(drawn, TAILS)
    width = rows["high"] - rows["low"]
    return {
        "coverage": float(inside.mean()),
        "low": float(low),
        "high": float(high),
        "companies": len(by_company),
        "mean_width": float(width.mean()),
        "by_segment": inside.groupby(rows["segment"]).mean().to_dict(),
        "by_group": inside.groupby(rows["group"]).mean().to_dict(),
    }


def _share(model: Found, ours: Found, loss: str) -> Floats:
    """Captured share: the measured one, then its draws."""
    base, truth = (np.array(ours[name][loss]) for name in ("base", "truth"))
    return (base - np.array(model["model"][loss])) / (base - truth)


def _bounds(draws: Floats) -> Found:
    low, high = np.quantile(draws[1:], TAILS)
    return {"low": float(low), "high": float(high)}


def _bound(found: Found, segment: str, group: str, side: int) -> float:
    intervals = found.get("intervals") or {}
    return float(intervals[segment][group][side]) if segment in intervals else np.nan
