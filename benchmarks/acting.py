"""Is what plays do found, and is what plays do not do not found?

Companies are drawn at random, each with a team that acts on accounts it worries about and a play
that does nothing, something or much in each segment. What is found of the rows alone is held
against the truth: the mean change in the probability of those acted on. In companies whose team
begins after a year of quiet, the champion of that year is watched; others act for two years on the
very scores of a model that is taught anew every quarter. Experiments are simulated and
read every week; public studies are read where causaldata is installed. Peers are those of DoubleML,
EconML and causalml that are installed:

    pip install -r requirements-bench.txt causalml

    python benchmarks/acting.py [--quick] [--json] [--accounts N] [--seeds S ...] [--kinds K ...]
                                [--no-peers] [--runs N] [--loops S ...]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, Any]
KINDS = {
    "tables": "the team acts on what anybody reads off the tables",
    "null": "the same, and the play does nothing",
    "risk": "the team acts on the true risk, of which signals show a part",
    "frailty": "it also knows what no table shows",
    "begins": "the team acts on the true risk, from the second year on",
}
SEEDS = tuple(range(1, 11))
# Where all that the team goes by is on record.
MEASURED = ("tables", "null")
# The slowest peer takes half of the time of a company.
WITH_PEERS = ("tables", "null", "risk")
FIRST_MONTH = 12
QUICK = {"accounts": 600, "runs": 20, "seeds": SEEDS[:1], "kinds": ("tables", "null", "begins")}
WHOLE = {"accounts": 1000, "runs": 500, "seeds": SEEDS, "kinds": tuple(KINDS)}
LOOPS = (501, 502)


def company(folder: Path, kind: str, seed: int, accounts: int, peers: list[str]) -> Figures:
    """Measure one company."""
    from _acting import draw, effects, untreated
    from _acting_peers import estimates
    from _acting_watch import watched
    from _drawn import EDGES

    begins = FIRST_MONTH if kind == "begins" else 0
    drawn = draw(folder, "risk" if kind == "begins" else kind, seed, accounts, begins)
    told, effect = effects(drawn)
    told = {"kind": kind, "seed": seed, "rows": len(drawn.frame)} | told
    if peers and kind in WITH_PEERS and effect is not None:
        told["peers"] = estimates(drawn.rows.rows, peers)
    if kind != "null":
        told["untreated"] = untreated(drawn, effect, had_nobody_acted=kind == "risk")
    if kind == "begins":
        told["watched"] = watched(drawn, EDGES[FIRST_MONTH])
    return told


def summary(companies: list[Figures]) -> Figures:
    """Average over segments and companies; errors are in accounts of 100."""

    def cells(kinds: tuple[str, ...]) -> list[Figures]:
        return [
            one | {"of": c.get("peers", {})}
            for c in companies
            if c["kind"] in kinds
            for one in c.get("effects", [])[1:]
        ]

    everything = cells(tuple(KINDS))
    beside = [one for one in everything if one["of"]]
    null = [one for one in everything if one["true"] == 0]
    real = [one for one in everything if one["true"] < 0]
    states = [c["untreated"] for c in companies if "untreated" in c]
    ranked = [s for s in states if s["kept_at_best"] > 0]
    watched = [c["watched"] for c in companies if "watched" in c]
    return {
        "effect_coverage": _covered(everything),
        "effect_coverage_where_measured": _covered(cells(MEASURED)),
        "effect_coverage_by_kind": {kind: _covered(cells((kind,))) for kind in KINDS},
        "effect_error": _error(everything, "effect"),
        "effect_error_beside_peers": _errors(beside),
        "effect_error_by_kind": {kind: _errors(cells((kind,))) for kind in KINDS},
        "false_effects": _share(null, "helps"),
        "false_effects_of": len(null),
        "called_harmful": _share(everything, "harms"),
        "true_effects_found": _share(real, "helps"),
        "true_effects_of": len(real),
        "naive_error": _error(everything, "naive"),
        "refused": sum("refused" in c for c in companies),
        "untreated_gap": _mean(states, "gap_now"),
        "untreated_gap_before": _mean(states, "gap_left_out"),
        "untreated_gap_of_risk": {
            name: _mean([s for s in states if "gap_nobody_acted" in s], f"gap_{name}")
            for name in ("now", "left_out", "nobody_acted")
        },
        "untreated_gap_acted_on": _mean(states, "gap_now_acted_on"),
        "untreated_gap_before_acted_on": _mean(states, "gap_left_out_acted_on"),
        "checks": sum(w["checks"] for w in watched),
        "false_retrain": sum(w["retrain_now"] for w in watched),
        "false_retrain_before": sum(w["retrain_before"] for w in watched),
        "arr_kept_ratio": _kept_ratio(ranked, "kept_by_loss"),
        "arr_kept_ratio_random": _kept_ratio(ranked, "kept_random"),
        "arr_kept_of_best": _kept_ratio(ranked, "kept_at_best"),
        "ranked_by_evidence": f"{sum(s['by_evidence'] > 0 for s in ranked)} of {len(ranked)}",
    }


def _covered(cells: list[Figures]) -> float | None:
    inside = [one["low"] <= one["true"] <= one["high"] for one in cells]
    return float(np.mean(inside)) if inside else None


def _error(cells: list[Figures], key: str) -> float | None:
    return float(100 * np.mean([abs(one[key] - one["true"]) for one in cells])) if cells else None


def _errors(cells: list[Figures]) -> Figures:
    """Errors of ours and of whoever else estimated the same segments."""
    told = {"segments": len(cells)} | {
        name: _error(cells, key) for name, key in (("healthscore", "effect"), ("naive", "naive"))
    }
    for name in sorted({name for one in cells for name in one["of"]}):
        held = [one for one in cells if name in one["of"]]
        off = [abs(one["of"][name][one["segment"]] - one["true"]) for one in held]
        told[name] = float(100 * np.mean(off))
    return told


def _share(cells: list[Figures], verdict: str) -> float | None:
    return float(np.mean([one["verdict"] == verdict for one in cells])) if cells else None


def _mean(states: list[Figures], key: str) -> float | None:
    values = [state[key] for state in states if key in state]
    return float(np.mean(values)) if values else None


def _kept_ratio(states: list[Figures], beside: str) -> float | None:
    """ARR truly kept beside that of another order; companies count alike, by their best order."""
    ours, theirs = (
        sum(state[key] / state["kept_at_best"] for state in states) for key in ("kept_ours", beside)
    )
    return ours / theirs if theirs else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="three small companies, no peers")
    parser.add_argument("--accounts", type=int, help="of each company; 1,000")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the companies of every kind")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS))
    parser.add_argument("--runs", type=int, help="of each simulated experiment; 500")
    parser.add_argument("--loops", type=int, nargs="*", help="seeds of those that act on scores")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    asked = parser.parse_args()
    usual = QUICK if asked.quick else WHOLE
    # This folder has a features.py too, which must not stand before the project's features.
    sys.path.append(sys.path.pop(0))
    from _acting_loop import loop
    from _acting_peers import MODULES, installed
    from _acting_public import studies
    from _acting_trials import PLANS, experiments

    peers = [] if asked.no_peers or asked.quick else installed()
    companies: list[Figures] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in asked.seeds or usual["seeds"]:
            for kind in usual["kinds"] if asked.kinds is None else asked.kinds:
                # Kinds have companies of their own, or their figures would rise and fall together.
                own = 100 * list(KINDS).index(kind) + seed
                size = asked.accounts or usual["accounts"]
                companies.append(company(Path(scratch) / "company", kind, own, size, peers))
                print(json.dumps(companies[-1], default=float), file=sys.stderr, flush=True)
        seeds = (() if asked.quick else LOOPS) if asked.loops is None else asked.loops
        size = asked.accounts or usual["accounts"]
        loops = [loop(Path(scratch) / "company", seed, size) for seed in seeds]
    runs = usual["runs"] if asked.runs is None else asked.runs
    told = summary(companies) | {
        "companies": len(companies),
        "accounts": asked.accounts or usual["accounts"],
        "loops": loops,
        "experiments": experiments(runs, PLANS[2:3] if asked.quick else PLANS) if runs else None,
        "studies": studies(),
        "peers": peers,
        "not_installed": sorted(MODULES.keys() - set(installed())),
    }
    if asked.json:
        print(json.dumps(told, default=float))
        return
    for key, value in told.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
