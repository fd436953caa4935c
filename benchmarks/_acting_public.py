"""Public studies whose answer is known: job training, and weight after giving up smoking."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from models.measures.resampling import REACH
from models.plays.doubly_robust import like_rows, mean_difference
from models.plays.effects import PlayRows, play_effects
from models.plays.like_accounts import LikeAccounts


def studies() -> dict[str, Any] | None:
    """Read both; None where the package that ships the data is not installed."""
    if importlib.util.find_spec("causaldata") is None:
        return None
    return {"lalonde": lalonde(), "nhefs": nhefs()}


def lalonde() -> dict[str, Any]:
    """Compare the job training's effect on having no work with the experiment's.

    Dehejia and Wahba 1999: those trained of the National Supported Work experiment beside people of
    the Current Population Survey, held against the experiment's own controls.
    """
    from causaldata import cps_mixtape, nsw_mixtape

    trial, survey = nsw_mixtape.load_pandas().data, cps_mixtape.load_pandas().data
    idle = (trial["re78"] <= 0).astype(float)
    experiment = float(idle[trial.treat == 1].mean() - idle[trial.treat == 0].mean())
    everybody = pd.concat([trial[trial.treat == 1], survey], ignore_index=True)
    controls = everybody[["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]]
    rows = PlayRows(
        inputs=controls.astype(float).assign(segment="all"),
        accounts=np.arange(len(everybody)).astype(object),
        days=np.zeros(len(everybody), dtype=np.intp),
        happened=(everybody["re78"] <= 0).to_numpy(dtype=float),
        acted={"training": (everybody["treat"] == 1).to_numpy()},
    )
    found = play_effects(rows)[0].everywhere
    told = None if found is None else found.to_dict()
    return {
        "experiment": experiment,
        "found": told,
        "inside": found is not None and found.low <= experiment <= found.high,
    }


def nhefs() -> dict[str, Any]:
    """Compare kilograms gained after giving up smoking with the published answer.

    Hernán and Robins 2020, "Causal Inference: What If", chapters 12 and 13: 3.4 kg (2.4 to 4.5) by
    weighting, 3.5 kg (2.6 to 4.5) by standardisation, of the same nine controls. The chance of
    giving up and the difference are the product's; a line foretells the gain.
    """
    from causaldata import nhefs_complete

    people = nhefs_complete.load_pandas().data
    gain = people["wt82_71"].to_numpy(dtype=float)
    stopped = people["qsmk"].to_numpy() == 1
    numbers = ["sex", "race", "age", "smokeintensity", "smokeyrs", "wt71"]
    inputs = people[numbers].astype(float)
    for name in ("education", "exercise", "active"):
        inputs[name] = people[name].astype(str).astype(object)
    like = LikeAccounts.of(inputs.assign(segment="all"), people["seqn"].to_numpy(dtype=object))
    every = np.ones(len(people), dtype=bool)
    odds = like.log_odds(stopped.astype(float), every)
    chance = expit(odds)
    told = like.earlier(gain, ~stopped, odds)
    effect, error = mean_difference(gain, stopped, told, chance, like.cluster)
    low, high = effect - REACH * error, effect + REACH * error
    return {
        "published": 3.4,
        "found": effect,
        "low": low,
        "high": high,
        "naive": float(gain[stopped].mean() - gain[~stopped].mean()),
        "overlap": float(like_rows(chance)[stopped].mean()),
        "inside": bool(low <= 3.4 <= high),
    }
