"""What does a first model know after 5, 10 and 20 churns?

Every seed draws another company, with a known truth. Of each a small history is taken in which just
so many accounts churned; the first model starts from equal weights. Beside it stand the same
scorecard turned into probabilities by a logistic regression, and a ridge regression on all signals.
All are judged by the true probabilities of accounts that were left out, in the newest months.

    python benchmarks/first.py [--quick] [--json] [--accounts N] [--seeds S ...] [--churns K ...]
        [--threads N] [--resume FILE]
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

ACCOUNTS, QUICK_ACCOUNTS = 1_500, 600
SEEDS, QUICK_SEEDS = tuple(range(301, 321)), (301,)
CHURNS, QUICK_CHURNS = (5, 10, 20), (10,)
PEERS = ("scorecard", "ridge")


def summary(companies: list[Figures]) -> Figures:
    """Average over companies, and count those in which a peer was ahead."""
    loss = {
        name: np.array([each["log_loss"][name] for each in companies])
        for name in companies[0]["log_loss"]
    }
    return {
        "companies": len(companies),
        **{f"log_loss_{name}": float(losses.mean()) for name, losses in loss.items()},
        **{f"behind_{name}": int((loss["first"] > loss[name]).sum()) for name in PEERS},
        "learnt": float(np.mean([each["learnt"] for each in companies])),
        "account_coverage": float(np.mean([each["coverage"] for each in companies])),
        "account_width": float(np.mean([each["width"] for each in companies])),
    }


def report(by_churns: dict[int, Figures]) -> None:
    """Print one block per number of churns."""
    for churns, figures in by_churns.items():
        print(f"\n{churns} churns, {figures['companies']} companies")
        for name, value in figures.items():
            print(
                f"  {name:22} {value:.4f}" if isinstance(value, float) else f"  {name:22} {value}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="one company of 600 accounts")
    parser.add_argument("--accounts", type=int, help="of each company; 1,500")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the companies")
    parser.add_argument("--churns", type=int, nargs="+", help="5, 10 and 20")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", type=Path, help="JSON lines of finished measurements")
    asked = parser.parse_args()
    accounts = asked.accounts or (QUICK_ACCOUNTS if asked.quick else ACCOUNTS)
    seeds = asked.seeds or (QUICK_SEEDS if asked.quick else SEEDS)
    wanted = asked.churns or (QUICK_CHURNS if asked.quick else CHURNS)
    measured: dict[int, list[Figures]] = {churns: [] for churns in wanted}
    with tempfile.TemporaryDirectory() as scratch:
        runs = Runs(asked.resume, Path(scratch), asked.threads, write="write_drawn")
        for seed in seeds:
            for churns in wanted:
                figures = runs.on_company(
                    "first_models", (accounts, seed), churns=churns, seed=seed
                )
                if figures is not None:
                    measured[churns].append(figures)
    finished = {churns: summary(each) for churns, each in measured.items() if each}
    if not finished:
        sys.exit("No company could be measured.")
    if asked.json:
        print(json.dumps({"churns": finished}))
    else:
        report(finished)
    if runs.failed:
        raise SystemExit(f"{len(runs.failed)} measurement(s) failed: {'; '.join(runs.failed)}")


if __name__ == "__main__":
    main()
