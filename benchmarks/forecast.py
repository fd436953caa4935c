"""Does the retention forecast hold?

    python benchmarks/forecast.py [--seeds 1 2 ...] [--accounts 800] [--quick] [--json]

Companies drawn at random live for forty months: contracts are monthly or annual, fees grow and
shrink, whole quarters go better or worse, and a team may step in. The forecast is made of what was
known twelve months before the end, with a score that is the true risk at a decision seen through
noise (its
correlation with the truth is 0.82), and held against those:

``forecast_coverage``  share of the 90 % intervals of the next four quarters' gross and net revenue
                       retention, each quarter's and that of the year, that hold the truth
``coverage_gross``, ``coverage_net``  the same of each
``coverage_independent``  the same of accounts that go their ways independently, with exact rates
``error``              mean distance of the year's expected gross and net retention from the truth,
                       in points of 100
``error_flat``         the same of the retention of the year before
``error_bands``        the same of accounts in three bands by score, each with the monthly rate at
                       which such accounts were lost in the last six months; net of the year before
                       added
``interval_width``     mean width of the year's intervals, in points

``companies`` has each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds a features.py, which must not stand in front of the package of that name.
sys.path.append(sys.path.pop(1))

import numpy as np
from _drawn_book import AHEAD, CUT, Book, write_book

from models.arrays import Floats
from models.churn.segments import SegmentAssignment, SegmentSettings
from models.scoring.timing.retention.book import learn_book
from models.scoring.timing.retention.draws import draw_futures
from models.scoring.timing.retention.shocks import Shock
from pipelines.portfolio.forecast.fiscal import periods_after
from pipelines.portfolio.forecast.history import read_past
from pipelines.portfolio.forecast.sums import PartForecast, part_of
from pipelines.project.company import open_company
from pipelines.project.project import load_project

SEEDS, QUICK = range(1, 23), (1, 2)
QUARTERS, COURSES = 4, ("lost", "smaller", "larger")


def foretold(book: Book) -> tuple[PartForecast, PartForecast]:
    """Make the forecast as the product does, but for the score; and one that shares nothing."""
    project = load_project(book.folder / "healthscore.toml")
    plans = SegmentSettings(columns=("plan",))
    day = book.day.date()
    with open_company(project) as company:
        names = sorted({f"plan={plan}" for plan in _plans(book)})
        segments = SegmentAssignment(plans, ("all", *names), ())
        past = read_past(project, company, segments, book.holdout, day)
    learnt = learn_book(past.history, past.earlier)
    accounts = past.now.merge(book.scores, on="account_id")
    periods = periods_after(day, day.month, QUARTERS)
    everybody = np.zeros(len(accounts), dtype=np.intp)
    spans, calm = [each.span(day) for each in periods], Shock(0.0, 0.0, 1)
    apart = replace(
        learnt,
        **{name: replace(getattr(learnt, name), shock=calm) for name in COURSES},
    )
    with_shocks, without = (
        part_of("all", draw_futures(each, accounts, spans, [everybody]), 0, periods, has_money=True)
        for each in (learnt, apart)
    )
    return with_shocks, without


def _plans(book: Book) -> list[str]:
    import pandas as pd

    plans = pd.read_parquet(book.folder / "data" / "accounts.parquet")["plan"]
    return plans.unique().tolist()


def retention(before: Floats, after: Floats) -> tuple[float, float]:
    """Gross and net retention of accounts that pay ``before``, by what they pay ``after``."""
    there = ~np.isnan(before)
    then, now = before[there], np.nan_to_num(after[there])
    return float(np.minimum(then, now).sum() / then.sum()), float(now.sum() / then.sum())


def of_cohort(fees: Floats, month: int) -> list[tuple[float, float]]:
    """Retention of the accounts of a month, in each quarter after it and in the year."""
    cohort = ~np.isnan(fees[month])
    moments = [np.where(cohort, fees[month + 3 * q], np.nan) for q in range(QUARTERS + 1)]
    quarters = [retention(moments[q], moments[q + 1]) for q in range(QUARTERS)]
    return [*quarters, retention(moments[0], moments[-1])]


def by_bands(book: Book) -> tuple[float, float]:
    """Retention of the year by three bands, at the monthly rate of each."""
    gone = np.isnan(book.fees[1:]) & ~np.isnan(book.fees[:-1])
    tested = slice(CUT - 6, CUT)
    risk = book.risk[tested]
    cuts = np.nanquantile(risk, [1 / 3, 2 / 3])
    band = np.digitize(np.nan_to_num(risk, nan=np.nanmean(risk)), cuts)
    there = ~np.isnan(book.fees[:-1][tested])
    rates = [gone[tested][there & (band == place)].mean() for place in range(3)]
    fee = book.fees[CUT]
    own = np.digitize(np.nan_to_num(book.risk[CUT], nan=np.nanmean(risk)), cuts)
    here = ~np.isnan(fee)
    kept = (1 - np.array(rates)[own[here]]) ** 12
    before = of_cohort(book.fees, CUT - AHEAD)[-1]
    gross = float(fee[here] @ kept / fee[here].sum())
    return gross, gross + before[1] - before[0]


def measure(folder: Path, accounts: int, seed: int) -> dict[str, Any]:
    """Judge one company."""
    book = write_book(folder / f"{seed}", accounts, seed)
    told, apart = foretold(book)
    truth = of_cohort(book.fees, CUT)
    held, alone = holds(told, truth), holds(apart, truth)
    year = {"gross": told.whole.gross, "net": told.whole.net}
    flat, bands = of_cohort(book.fees, CUT - AHEAD)[-1], by_bands(book)
    return {
        "seed": seed,
        "held_gross": held["gross"],
        "held_net": held["net"],
        "held_independent": [*alone["gross"], *alone["net"]],
        "truth": truth[-1],
        "expected": [one.expected for one in year.values() if one],
        "error": _off([one.expected for one in year.values() if one], truth[-1]),
        "error_flat": _off(flat, truth[-1]),
        "error_bands": _off(bands, truth[-1]),
        "interval_width": 100
        * float(np.mean([one.high - one.low for one in year.values() if one])),
    }


def holds(told: PartForecast, truth: list[tuple[float, float]]) -> dict[str, list[bool]]:
    """Tell which intervals hold the truth: of each quarter and of the year."""
    held: dict[str, list[bool]] = {"gross": [], "net": []}
    said = [*(each.retention for each in told.periods), told.whole]
    for one, came in zip(said, truth, strict=True):
        for name, seen in zip(held, came, strict=True):
            interval = getattr(one, name)
            held[name].append(bool(interval.low <= seen <= interval.high))
    return held


def _off(said: Any, came: Any) -> float:
    return 100 * float(np.abs(np.array(said) - np.array(came)).mean())


def summary(companies: list[dict[str, Any]]) -> dict[str, float]:
    """Average over companies."""
    gross, net = ([hit for c in companies for hit in c[f"held_{one}"]] for one in ("gross", "net"))
    means = {
        name: float(np.mean([c[name] for c in companies]))
        for name in ("error", "error_flat", "error_bands", "interval_width")
    }
    return {
        "forecast_coverage": float(np.mean(gross + net)),
        "coverage_gross": float(np.mean(gross)),
        "coverage_net": float(np.mean(net)),
        "coverage_independent": float(
            np.mean([hit for c in companies for hit in c["held_independent"]])
        ),
        **means,
    }


def main() -> None:
    """Measure the companies and print the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--accounts", type=int, default=800)
    parser.add_argument("--quick", action="store_true", help="two companies of 400 accounts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    seeds, accounts = (QUICK, 400) if asked.quick else (asked.seeds, asked.accounts)
    companies = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            companies.append(measure(Path(scratch), accounts, seed))
            print(json.dumps(companies[-1]), file=sys.stderr, flush=True)
    means = summary(companies)
    if asked.json:
        print(json.dumps({**means, "companies": companies}))
        return
    for name, mean in means.items():
        print(f"{name:24}{mean:.3f}")


if __name__ == "__main__":
    main()
