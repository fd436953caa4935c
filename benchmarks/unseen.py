"""Does the product learn as well on a company that nobody has seen?

Every seed draws another company, with a known truth: which signals matter, over which days, in
which shape and in which segments. The product and three plain peers learn the same months and are
judged on the newest ones. ``captured`` is the share of the explainable log loss, where 1 is the
true probabilities and 0 the base rate of the judged rows.

    python benchmarks/unseen.py [--quick] [--json] [--accounts N ...] [--seeds S ...] [--threads N]
        [--resume FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _runs import Runs

Figures = dict[str, Any]

QUICK = {600: (2,)}
SIZES = {2_000: tuple(range(1, 25)), 20_000: tuple(range(101, 109))}
SPEED_ROUNDS = 200


def company(runs: Runs, accounts: int, seed: int) -> Figures | None:
    """Measure one company: ours, the peers, and how long a fit takes."""
    of = (accounts, seed)
    ours = runs.on_company("healthscore", of, seed=seed)
    plain = runs.on_company("plain_peers", of)
    fit = runs.on_company("one_fit", of, rounds=SPEED_ROUNDS)
    trees = runs.on_company("plain_lightgbm", of, rounds=SPEED_ROUNDS)
    if ours is None or plain is None or fit is None or trees is None:
        return None
    base, truth = plain["base"]["log_loss"][0], plain["truth"]["log_loss"][0]

    def captured(model: Figures) -> float:
        return float((base - model["log_loss"][0]) / (base - truth))

    true = ours["true_weights"]
    peers = {
        name: {"captured": captured(each["model"]), "errors": errors(each["weights"], true)}
        for name, each in plain["peers"].items()
    }
    return {
        "seed": seed,
        "accounts": accounts,
        "positives": ours["positives"],
        "captured": captured(ours["model"]),
        "errors": errors(ours["weights"], true),
        "inside": inside(ours["intervals"] or {}, true),
        "peers": peers,
        "fit_ratio": fit["seconds"] / trees["seconds"],
    }


def errors(weights: Figures, true: Figures) -> list[float]:
    """Points by which weights are off; a segment without weights of its own has everybody's."""
    return [
        abs(weights.get(segment, weights.get("all", {})).get(group, 0.0) - share)
        for segment, shares in true.items()
        for group, share in shares.items()
    ]


def inside(intervals: Figures, true: Figures) -> list[bool]:
    """Say for each stated interval whether the true weight lies in it, to the printed digit."""
    bounds = [
        (intervals.get(segment, intervals.get("all", {})).get(group), share)
        for segment, shares in true.items()
        for group, share in shares.items()
    ]
    return [b[0] - 0.05 <= share <= b[1] + 0.05 for b, share in bounds if b is not None]


def summary(companies: list[Figures]) -> Figures:
    """Average over companies; the best peer of each figure is the one that is best on average."""
    names = companies[0]["peers"]

    def of_peers(key: str) -> list[float]:
        return [
            float(np.mean([np.mean(c["peers"][name][key]) for c in companies])) for name in names
        ]

    behind = [max(p["captured"] for p in c["peers"].values()) - c["captured"] for c in companies]
    covered = [hit for c in companies for hit in c["inside"]]
    return {
        "captured": float(np.mean([c["captured"] for c in companies])),
        "captured_best_peer": max(of_peers("captured")),
        "worst_behind": float(max(behind)),
        "weight_error": float(np.mean([np.mean(c["errors"]) for c in companies])),
        "weight_error_best_peer": min(of_peers("errors")),
        "weight_coverage": float(np.mean(covered)) if covered else None,
        "fit_ratio": float(np.median([c["fit_ratio"] for c in companies])),
    }


def report(sizes: dict[int, list[Figures]]) -> None:
    """Print one line a company and the averages of each size."""
    for accounts, companies in sizes.items():
        print(f"\n{accounts:,} accounts  churns  captured  best peer  weights off  covered")
        for c in companies:
            best = max(c["peers"].values(), key=lambda peer: peer["captured"])
            covered = f"{np.mean(c['inside']):8.0%}" if c["inside"] else "       –"
            print(
                f"  seed {c['seed']:<9} {c['positives']:9,} {c['captured']:9.3f}"
                f" {best['captured']:10.3f} {np.mean(c['errors']):12.1f} {covered}"
            )
        print(
            "  " + ", ".join(f"{k} {v:.3f}" for k, v in summary(companies).items() if v is not None)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="one company of 600 accounts")
    parser.add_argument("--accounts", type=int, nargs="+", help="sizes; 2,000 and 20,000")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the companies of every size")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", type=Path, help="JSON lines of finished measurements")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else SIZES
    planned = {
        accounts: asked.seeds or sizes.get(accounts, SIZES[2_000])
        for accounts in asked.accounts or sizes
    }
    with tempfile.TemporaryDirectory() as scratch:
        runs = Runs(asked.resume, Path(scratch), asked.threads, write="write_drawn")
        measured = {
            accounts: [c for seed in seeds if (c := company(runs, accounts, seed)) is not None]
            for accounts, seeds in planned.items()
        }
    finished = {accounts: companies for accounts, companies in measured.items() if companies}
    if not finished:
        sys.exit("No company could be measured.")
    if asked.json:
        everything = [each for companies in finished.values() for each in companies]
        by_size = {accounts: summary(companies) for accounts, companies in finished.items()}
        print(json.dumps(summary(everything) | {"sizes": by_size}))
    else:
        report(finished)
    if runs.failed:
        raise SystemExit(f"{len(runs.failed)} measurement(s) failed: {'; '.join(runs.failed)}")


if __name__ == "__main__":
    main()
