"""What a set of weights would have done: scores replayed over dates whose outcomes are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import EVERYBODY
from features.json_values import Json, json_records
from models.arrays import Floats
from models.backtest.lead_time import lead_time
from models.measures.metrics import Ranking
from models.measures.resampling import TAILS, AccountBootstrap
from models.scorecard.scorecard import Cuts
from models.scoring.scale import BANDS

DAYS_BEFORE = 90
RESAMPLES = 300
# Colours as the bands that lead times speak of.
AS_BANDS = {"red": BANDS[0], "amber": BANDS[1], "green": BANDS[2]}
MEASURED = ("auc", "top_decile_lift", "caught", "caught_arr")


@dataclass(frozen=True)
class Replayed:
    """What each contender would have done on the same rows.

    Attributes
    ----------
    table : DataFrame
        One row per ``segment`` (or "all") and ``contender``: ``rows``, ``accounts``,
        ``positives``; ``auc``, ``top_decile_lift``, ``caught`` (share of the rows with the outcome
        that were flagged) and ``caught_arr`` (the same by ARR), each with its 90 % interval over
        accounts (``_low``, ``_high``) and with how far it is ahead of the baseline
        (``_ahead``, ``_ahead_low``, ``_ahead_high``); ``red``, ``green`` (shares of the rows);
        ``early`` (share of the accounts with the outcome that were flagged 90 days before, with
        ``early_low``, ``early_high`` and ``early_events``). NaN where there is nothing to measure.
    moves : DataFrame
        On the newest date, one row per ``segment`` and ``contender``: ``accounts`` and ``arr`` in
        all, and of those whose colour differs from the baseline's: ``moved``, ``moved_arr``,
        ``to_red``, ``to_red_arr``, ``from_red``, ``from_red_arr``, ``to_green``,
        ``to_green_arr``, ``from_green``, ``from_green_arr``. ARR is NaN where it is not known.
    cuts : dict of str to Cuts
        Where each contender turns red and green.
    baseline : str
        Whom the others are compared with.
    """

    table: pd.DataFrame
    moves: pd.DataFrame
    cuts: dict[str, Cuts]
    baseline: str

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return {
            "baseline": self.baseline,
            "cuts": {
                name: {"red_below": cut.red_below, "green_from": cut.green_from}
                for name, cut in self.cuts.items()
            },
            "table": json_records(self.table),
            "moves": json_records(self.moves),
        }


def replay(
    rows: pd.DataFrame,
    scores: Mapping[str, Floats],
    cuts: Mapping[str, Cuts],
    baseline: str,
    *,
    events: pd.DataFrame | None = None,
    good: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Replayed:
    """Measure contenders that scored the same rows.

    Parameters
    ----------
    rows : DataFrame of n rows
        ``account_id``, ``observation_date``, ``segment``, ``happened`` (0 or 1) and ``arr`` (NaN
        where it is not known).
    scores : mapping of str to ndarray of shape (n,)
        Contender to scores; higher is healthier, or likelier of a good outcome.
    cuts : mapping of str to Cuts
        Where each turns red and green. Flagged is what is red, or green of a good outcome.
    baseline : str
        The contender others are compared with.
    events : DataFrame or None
        ``account_id`` and ``happened_at``, for the flags 90 days before.
    good : bool
        Whether the outcome is good news.
    seed, resamples : int
        Of the bootstrap over accounts.

    Returns
    -------
    Replayed
    """
    order = [baseline, *(name for name in scores if name != baseline)]
    colours = {name: cuts[name].colours(scores[name]) for name in order}
    labels = rows["segment"].to_numpy(dtype=object)
    places = sorted(set(labels))
    parts = {EVERYBODY: np.ones(len(rows), dtype=bool)}
    if len(places) > 1:
        # Rows of no segment of their own are told with all others alone.
        parts |= {str(name): labels == name for name in places if name != EVERYBODY}
    found, moves = [], []
    newest = (rows["observation_date"] == rows["observation_date"].max()).to_numpy()
    for segment, inside in parts.items():
        book = _Book(rows[inside], good, seed, resamples)
        told = {name: book.measured(scores[name][inside], colours[name][inside]) for name in order}
        for name in order:
            found.append(
                {"segment": segment, "contender": name, **book.counts}
                | book.described(told[name], told[baseline])
                | book.shares(colours[name][inside])
                | book.early(scores[name][inside], colours[name][inside], events)
            )
        here = inside & newest
        arr = rows["arr"].to_numpy(dtype=float)[here]
        for name in order:
            moved = _moved(colours[baseline][here], colours[name][here], arr)
            moves.append({"segment": segment, "contender": name} | moved)
    return Replayed(
        pd.DataFrame(found), pd.DataFrame(moves), {name: cuts[name] for name in order}, baseline
    )


class _Book:
    """Rows that are measured together."""

    def __init__(self, rows: pd.DataFrame, good: bool, seed: int, resamples: int) -> None:
        self._rows, self._good = rows, good
        self._happened = rows["happened"].to_numpy(dtype=float)
        arr = rows["arr"].to_numpy(dtype=float)
        self._arr = np.where(np.isnan(arr), 0.0, arr)
        self._flag = "green" if good else "red"
        self._bootstrap = AccountBootstrap(
            rows["account_id"].to_numpy(dtype=object), seed=seed, resamples=resamples
        )

    @property
    def counts(self) -> dict[str, int]:
        return {
            "rows": len(self._rows),
            "accounts": self._bootstrap.count,
            "positives": int(self._happened.sum()),
        }

    def measured(self, score: Floats, colour: Any) -> Floats:
        """Every measure, of the rows themselves first and then of each draw: (1 + draws, 4)."""
        risk = score if self._good else -score
        dates = self._rows["observation_date"].to_numpy()
        ranking = Ranking(self._happened, risk, self._bootstrap.cluster, dates)
        pooled = Ranking(self._happened, risk, self._bootstrap.cluster)
        caught = self._happened * (colour == self._flag)
        totals = self._bootstrap.totals(
            np.column_stack(
                [self._happened, caught, self._happened * self._arr, caught * self._arr]
            )
        )

        def measure(weight: Floats) -> list[float]:
            happened, flagged, lost, lost_flagged = weight @ totals
            return [
                ranking.auc(weight),
                pooled.lift(weight),
                flagged / happened if happened else np.nan,
                lost_flagged / lost if lost else np.nan,
            ]

        everybody = np.ones(self._bootstrap.count)
        return np.array([measure(everybody), *map(measure, self._bootstrap.draws())])

    def described(self, measured: Floats, baseline: Floats) -> dict[str, float]:
        """Each measure and how far it is ahead of the baseline, with intervals."""
        found: dict[str, float] = {}
        for values, suffix in ((measured, ""), (measured - baseline, "_ahead")):
            for place, name in enumerate(MEASURED):
                drawn = values[1:, place]
                drawn = drawn[~np.isnan(drawn)]
                low, high = np.quantile(drawn, TAILS) if len(drawn) else (np.nan, np.nan)
                found |= {
                    f"{name}{suffix}": float(values[0, place]),
                    f"{name}{suffix}_low": float(low),
                    f"{name}{suffix}_high": float(high),
                }
        return found

    def shares(self, colour: Any) -> dict[str, float]:
        return {name: float((colour == name).mean()) for name in ("red", "green")}

    def early(self, score: Floats, colour: Any, events: pd.DataFrame | None) -> dict[str, float]:
        """Share of the accounts with the outcome that were flagged 90 days before it."""
        nothing = dict.fromkeys(("early", "early_low", "early_high"), np.nan)
        if events is None or self._good:
            return nothing | {"early_events": 0}
        here = events[events["account_id"].isin(self._rows["account_id"].unique())]
        scored = self._rows[["account_id", "observation_date"]].assign(
            score=score, band=np.vectorize(AS_BANDS.__getitem__, otypes=[object])(colour)
        )
        lead = lead_time(scored, here)
        line = lead[lead["days_before"] == DAYS_BEFORE]
        if line.empty or not line["events"].item():
            return nothing | {"early_events": 0}
        return {
            "early": float(line["at_risk"].item()),
            "early_low": float(line["at_risk_low"].item()),
            "early_high": float(line["at_risk_high"].item()),
            "early_events": int(line["events"].item()),
        }


def _moved(before: Any, after: Any, arr: Floats) -> dict[str, float]:
    known = not np.isnan(arr).all()
    money = np.where(np.isnan(arr), 0.0, arr)
    kinds = {
        "moved": before != after,
        "to_red": (after == "red") & (before != "red"),
        "from_red": (before == "red") & (after != "red"),
        "to_green": (after == "green") & (before != "green"),
        "from_green": (before == "green") & (after != "green"),
    }
    found = {"accounts": float(len(arr)), "arr": float(money.sum()) if known else np.nan}
    for name, rows in kinds.items():
        found[name] = float(rows.sum())
        found[f"{name}_arr"] = float(money[rows].sum()) if known else np.nan
    return found
