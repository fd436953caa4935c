"""Is what plays do found, and is what plays do not do not found?

Companies are drawn at random, each with a team that acts on accounts it worries about and a play
that does nothing, something or much in each segment. What is found of the rows alone is held
against the truth: the mean change in the probability of those acted on. Peers are those of
DoubleML, EconML and causalml that are installed:

    pip install doubleml econml causalml causaldata

    python benchmarks/acting.py [--quick] [--json] [--accounts N] [--seeds S ...] [--no-peers]
"""

from __future__ import annotations

import argparse
import importlib.util
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
}
PEERS = {"DoubleML": "doubleml", "EconML": "econml", "causalml": "causalml"}
SEEDS = tuple(range(1, 11))
# Where the confounders are measured: the intervals claim to hold here.
MEASURED = ("tables", "null")


def company(folder: Path, kind: str, seed: int, accounts: int, *, with_peers: bool) -> Figures:
    """Measure one company."""
    from _acting import draw, effects, peers, untreated

    drawn = draw(folder, kind, seed, accounts)
    found = effects(drawn)
    effect = found.pop("effect", None)
    told = {"kind": kind, "seed": seed, **found}
    if with_peers and effect is not None:
        told["peers"] = peers(drawn, installed())
    return told | {"untreated": untreated(drawn, effect)}


def installed() -> list[str]:
    """List the peers that can be imported."""
    return [name for name, module in PEERS.items() if importlib.util.find_spec(module) is not None]


def summary(companies: list[Figures]) -> Figures:
    """Average over companies; intervals and errors are of segments, peers' errors of all rows."""

    def cells(kinds: tuple[str, ...]) -> list[Figures]:
        return [one for c in companies if c["kind"] in kinds for one in c.get("effects", [])[1:]]

    def covered(found: list[Figures]) -> float | None:
        inside = [one["low"] <= one["true"] <= one["high"] for one in found]
        return float(np.mean(inside)) if inside else None

    def error(found: list[Figures], key: str) -> float | None:
        off = [abs(one[key] - one["true"]) for one in found]
        return float(100 * np.mean(off)) if off else None

    measured, everything = cells(MEASURED), cells(tuple(KINDS))
    whole = [c["effects"][0] | {"peers": c.get("peers", {})} for c in companies if "effects" in c]
    null = [one for one in everything if one["true"] == 0]
    states = [c["untreated"] for c in companies if c["kind"] != "null"]
    kept = [s for s in states if s["kept_by_loss"] > 0]
    return {
        "effect_coverage": covered(measured),
        "effect_coverage_by_kind": {kind: covered(cells((kind,))) for kind in KINDS},
        "effect_error": error(measured, "effect"),
        "effect_error_by_kind": {kind: error(cells((kind,)), "effect") for kind in KINDS},
        "false_effects": float(np.mean([one["verdict"] == "helps" for one in null]))
        if null
        else None,
        "true_effects_found": float(
            np.mean([one["verdict"] == "helps" for one in everything if one["true"] < 0])
        )
        if len(everything) > len(null)
        else None,
        "naive_error": error(measured, "naive"),
        "error_of_all_rows": {"healthscore": error(whole, "effect"), "naive": error(whole, "naive")}
        | {
            name: float(
                100
                * np.mean([abs(w["peers"][name] - w["true"]) for w in whole if name in w["peers"]])
            )
            for name in PEERS
            if any(name in w["peers"] for w in whole)
        },
        "untreated_gap": float(np.mean([s["gap_now"] for s in states])),
        "untreated_gap_before": float(np.mean([s["gap_before"] for s in states])),
        "untreated_gap_acted_on": float(np.nanmean([s["gap_now_acted_on"] for s in states])),
        "untreated_gap_before_acted_on": float(
            np.nanmean([s["gap_before_acted_on"] for s in states])
        ),
        "arr_kept_ratio": float(
            sum(s["kept_ours"] for s in kept) / sum(s["kept_by_loss"] for s in kept)
        )
        if kept
        else None,
        "not_installed": sorted(PEERS.keys() - set(installed())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="one small company of each kind")
    parser.add_argument("--accounts", type=int, help="of each company; 2,000")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the companies of every kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    asked = parser.parse_args()
    seeds = asked.seeds or (SEEDS[:1] if asked.quick else SEEDS)
    accounts = asked.accounts or (800 if asked.quick else 2000)
    # This folder has a features.py too, which must not stand before the project's features.
    sys.path.append(sys.path.pop(0))
    from _acting import lalonde

    companies = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, kind in enumerate(asked.kinds):
            for seed in seeds:
                # Kinds have companies of their own, or their figures would rise and fall together.
                one = company(
                    Path(scratch) / "company",
                    kind,
                    100 * number + seed,
                    accounts,
                    with_peers=not asked.no_peers and not asked.quick,
                )
                companies.append(one)
                print(json.dumps(one, default=float), file=sys.stderr, flush=True)
    told = summary(companies) | {"companies": len(companies), "lalonde": lalonde()}
    if asked.json:
        print(json.dumps(told))
        return
    for key, value in told.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
