"""Are the recommended weights of a scorecard the best it can have?

Simulated companies whose true churn probabilities are known are weighed wrong on purpose. On
what had matured before the newest dates, weights are learnt and the full model is taught; the
newest dates judge. The best achievable weights are those learnt from the true probabilities of
every row in place of the outcomes that were drawn.

    python benchmarks/scorecard.py [--quick] [--json] [--accounts N] [--seeds N ...]

``weight_error``     mean distance of learnt weights from the best achievable, in points of 100
``weight_worst``     largest distance of a learnt weight, over all segments
``recommended_error``, ``recommended_worst``  the same of the recommended whole percentages, which
                     keep a weight of today wherever outcomes do not contradict it
``coverage``         share of the best achievable weights inside the 90 % intervals
``auc_today``, ``auc_recommended``, ``auc_best_scorecard``, ``auc_full_model``, ``auc_truth``
                     on the newest dates, each with its 90 % interval over accounts
``seconds``          of grading, learning, advice and replay, the full model left out
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _companies import Company, read_company, write_company

from models.churn.segments import SegmentSettings
from models.scorecard.advice import extremes_of, recommend
from models.scorecard.grading import Grading, group_measures
from models.scorecard.learning import learn_scorecard
from models.scorecard.replay import replay
from models.scorecard.scorecard import Cuts, Scorecard
from models.training.learning import Learning, learn

# Surveys and judgement first, use last: what the simulated truth says least of all.
WRONG = {"surveys": 30, "relationship": 25, "enablement": 15, "referrals": 10}
RED, GREEN = 0.1, 0.7
CONTENDERS = ("today", "recommended", "best scorecard", "full model", "truth")


def measure(company: Company, seed: int) -> dict[str, Any]:
    """Recommend weights to one company and judge them."""
    frame, fold = company.frame, company.holdout()
    known, new = frame.iloc[fold.train], frame.iloc[fold.test]
    segments = SegmentSettings(**company.segments | {"columns": tuple(company.segments["columns"])})
    model = learn(
        known,
        company.signals,
        Learning(maturity_days=company.maturity_days, segments=segments, seed=seed),
    )
    began = time.perf_counter()
    segment = model.segment(frame)
    measures = group_measures(company.signals)
    names = [one.name for one in measures]
    left = (100 - sum(WRONG.values())) / (len(names) - len(WRONG))
    today = {"all": np.array([WRONG.get(name, left) for name in names])}
    grading = Grading.fit(measures, known, segment[fold.train])
    grades = grading.grades(frame, segment)
    filled = grading.filled(grades, segment)
    accounts = frame["account_id"].to_numpy(dtype=object)
    happened = frame["happened"].to_numpy(dtype=float)
    past = fold.train
    learnt = learn_scorecard(
        filled[past], happened[past], accounts[past], segment[past], today, seed=seed
    )
    extremes = extremes_of(grades[past], happened[past], accounts[past], segment[past], names)
    advice = recommend(learnt, names, today, foretells=True, extremes=extremes)
    truth = frame["true_probability"].to_numpy(dtype=float)
    best = learn_scorecard(filled, truth, accounts, segment, today, seed=seed)

    weights = {
        "today": {name: dict(zip(names, row, strict=True)) for name, row in today.items()},
        "recommended": {name: found.weights for name, found in advice.items()},
        "best scorecard": {
            name: dict(zip(names, found.weights, strict=True)) for name, found in best.items()
        },
    }
    scores = {
        name: Scorecard(grading, own).score_of(grades[fold.test], segment[fold.test])
        for name, own in weights.items()
    }
    scores["full model"] = -model.log_odds(new)
    scores["truth"] = -truth[fold.test]
    rows = new[["account_id", "observation_date", "happened"]].assign(
        segment=segment[fold.test], arr=12 * new["mrr"].astype(float)
    )
    cuts = {name: Cuts.with_shares(score, RED, GREEN, exact=True) for name, score in scores.items()}
    replayed = replay(rows, scores, cuts, "today", seed=seed)
    seconds = time.perf_counter() - began
    everybody = replayed.table.query("segment == 'all'").set_index("contender")
    places = [name for name in learnt if name != "all"]
    wanted = np.array([best[name].weights for name in places])
    found = np.array([learnt[name].weights for name in places])
    told = np.array([[advice[name].weights[m] for m in names] for name in places])
    low, high = (np.array([getattr(learnt[p], end) for p in places]) for end in ("low", "high"))
    return {
        "seed": seed,
        "rows": len(frame),
        "positives": int(happened.sum()),
        "segments": places,
        "measures": names,
        "today": today["all"].tolist(),
        "best": wanted.tolist(),
        "learnt": found.tolist(),
        "recommended": told.tolist(),
        "weight_error": float(np.abs(found - wanted).mean()),
        "weight_worst": float(np.abs(found - wanted).max()),
        "recommended_error": float(np.abs(told - wanted).mean()),
        "recommended_worst": float(np.abs(told - wanted).max()),
        "coverage": float(((low <= wanted) & (wanted <= high)).mean()),
        "seconds": seconds,
        **{
            f"{name}_{place.replace(' ', '_')}{end}": float(everybody.loc[place, f"{name}{end}"])
            for name in ("auc", "caught")
            for place in CONTENDERS
            for end in ("", "_low", "_high")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="2,000 accounts, one seed")
    parser.add_argument("--accounts", type=int, help="20,000")
    parser.add_argument("--seeds", type=int, nargs="+", help="7 8 9")
    asked = parser.parse_args()
    accounts = asked.accounts or (2_000 if asked.quick else 20_000)
    runs = []
    for seed in asked.seeds or ([7] if asked.quick else [7, 8, 9]):
        with tempfile.TemporaryDirectory() as scratch:
            write_company(Path(scratch), accounts, seed)
            runs.append(measure(read_company(Path(scratch)), seed))
        print(f"{accounts:,} accounts, seed {seed}: {runs[-1]}", file=sys.stderr)
    figures: dict[str, Any] = {
        key: float(np.mean([run[key] for run in runs]))
        for key, value in runs[0].items()
        if isinstance(value, float)
    }
    for worst in ("weight_worst", "recommended_worst"):
        figures[worst] = max(run[worst] for run in runs)
    figures |= {"accounts": accounts, "seeds": [run["seed"] for run in runs], "runs": runs}
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        if isinstance(value, float):
            print(f"{name:<28}{value:>10.3f}")


if __name__ == "__main__":
    main()
