"""A drawn company as a book of contracts: fees that change, and a truth that lies a year ahead."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from _drawn import DAYS, EDGES, SETTLED, START, Life, live, risks_if_due
from scipy.special import expit, logit

from models.arrays import Floats

MONTHS, AHEAD, TESTED = 40, 12, 6
CUT = MONTHS - AHEAD
NOISE = 0.7
"""Noise of the score, in standard deviations of the true log-odds."""
CONFIGURATION = """[source]
url = "data"
data_end = {end}
[tables.accounts]
attributes = ["plan"]
[tables.subscriptions]
[tables.churn_events]
[tables.tickets]
[outcome]
kind = "churn"
horizon_days = 31
[segments]
columns = ["plan"]
"""


@dataclass(frozen=True)
class Book:
    """A company as it was known a year ago, and what came.

    Parameters
    ----------
    folder : Path
        Tables and configuration, of what was known.
    day : date
        The day it was known on.
    scores : DataFrame
        ``account_id`` and ``log_odds`` of accounts that were there.
    holdout : DataFrame
        Scores of earlier months as the product keeps them.
    fees : ndarray of shape (months + 1, n)
        What each account pays on the first of each month; NaN when it is not there.
    risk : ndarray of shape (months, n)
        Its risk at a decision by its score, NaN where there is none.
    """

    folder: Path
    day: pd.Timestamp
    scores: pd.DataFrame
    holdout: pd.DataFrame
    fees: Floats
    risk: Floats


def write_book(folder: Path, accounts: int, seed: int) -> Book:
    """Draw a company whose quarters and revenues go up and down, and write what was known.

    The score is the true risk at a decision seen through noise, so that a forecast is judged
    without training sixteen models.
    """
    chance = np.random.default_rng([seed, 14])
    life = live(seed, accounts, MONTHS, float(chance.choice([0.0, 0.1, 0.2])))
    fees = _fees(life, chance)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    cut = int(DAYS[CUT])
    names = _names(np.arange(accounts))
    known = np.flatnonzero(life.joined < cut)
    tickets = life.known("tickets")
    # The record begins where the company has settled: before, nobody's risk is as it is drawn.
    tickets = tickets[(tickets.opened < cut) & (tickets.opened >= DAYS[SETTLED])]
    tables = {
        "accounts": pd.DataFrame(
            {
                "account_id": names[known],
                "created_at": _moment(life.joined[known]),
                "plan": [f"tier{segment}" for segment in life.segment[known]],
            }
        ),
        "subscriptions": _subscriptions(life, fees, cut),
        "churn_events": pd.DataFrame(
            {
                "account_id": names[life.left < cut],
                "churned_at": _moment(life.left[life.left < cut]),
            }
        ),
        "tickets": pd.DataFrame(
            {"account_id": names[tickets.account], "opened_at": _moment(tickets.opened)}
        ),
    }
    for name, table in tables.items():
        table.to_parquet(folder / "data" / f"{name}.parquet")
    text = CONFIGURATION.format(end=EDGES[CUT].date())
    (folder / "healthscore.toml").write_text(text, encoding="utf-8")
    said = _scores(life, chance)
    risk = np.full((MONTHS, accounts), np.nan)
    for month, part in said.groupby("month"):
        risk[int(str(month)), part["account"]] = expit(part["log_odds"])
    now = said[said["month"] == CUT]
    tested = said[(said["month"] >= CUT - TESTED) & (said["month"] < CUT)]
    usual = float(tested["log_odds"].mean())
    there = np.flatnonzero(~np.isnan(fees[CUT]))
    own = pd.Series(now["log_odds"].to_numpy(), index=now["account"])
    return Book(
        folder,
        EDGES[CUT],
        pd.DataFrame(
            {"account_id": names[there], "log_odds": own.reindex(there).fillna(usual).to_numpy()}
        ),
        pd.DataFrame(
            {
                "account_id": names[tested["account"]],
                "observation_date": EDGES[tested["month"]],
                "probability": expit(tested["log_odds"]),
            }
        ),
        fees,
        risk,
    )


def _scores(life: Life, chance: np.random.Generator) -> pd.DataFrame:
    """See the true risk at a decision through noise, and shrink what is seen accordingly."""
    truth = risks_if_due(life)
    margin = logit(np.clip(truth["p_if_due"], 1e-6, 1 - 1e-6))
    spread, mean = float(margin.std()), float(margin.mean())
    seen = margin + chance.normal(0, NOISE * spread, len(margin)) - mean
    return pd.DataFrame(
        {
            "account": truth["account"],
            "month": truth["month"],
            "log_odds": mean + seen / (1 + NOISE**2),
        }
    )


def _fees(life: Life, chance: np.random.Generator) -> Floats:
    """Draw what each account pays on the first of each month, NaN when it is not there."""
    n, segments = life.accounts, len(life.of.share)
    size = np.exp(0.6 * life.of.size[life.segment] + chance.normal(0, 0.8, n))
    larger, smaller = chance.uniform(0.02, 0.3, segments), chance.uniform(0.0, 0.15, segments)
    uplift = chance.choice([0.0, 0.03, 0.07])
    fee, fees = 30 * size, np.full((MONTHS + 1, n), np.nan)
    shared = chance.normal(0, 0.2, MONTHS // 3 + 1)
    for month in range(MONTHS + 1):
        renews = ~life.annual | ((month - life.anniversary) % 12 == 0)
        # Monthly contracts change a twelfth as often in each month as annual ones at a renewal.
        often = np.where(life.annual, 1.0, 1 / 12) * np.exp(shared[month // 3])
        grows = renews & (chance.random(n) < larger[life.segment] * often)
        shrinks = renews & ~grows & (chance.random(n) < smaller[life.segment] * often)
        factor = np.where(grows, 1 + chance.gamma(2, 0.12, n), 1.0)
        factor = np.where(shrinks, 1 - np.minimum(chance.gamma(2, 0.1, n), 0.7), factor)
        fee = fee * factor * np.where(life.annual & renews, 1 + uplift, 1.0)
        there = (life.joined < DAYS[month]) & (life.left >= DAYS[month])
        fees[month] = np.where(there, np.round(fee, 2), np.nan)
    return fees


def _subscriptions(life: Life, fees: Floats, cut: int) -> pd.DataFrame:
    """Write a row for each stretch of one fee, and one for each annual term."""
    parts = []
    for month in range(CUT):
        begins, ends = int(DAYS[month]), int(DAYS[month + 1])
        here = ~np.isnan(fees[month]) | ((life.joined >= begins) & (life.joined < ends))
        fee = np.where(np.isnan(fees[month]), fees[month + 1], fees[month])
        since = (month - life.anniversary) % 12
        term_starts = np.where(life.annual, _month_day(month - since), life.joined)
        renews = np.where(life.annual, _month_day(month - since + 12), np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "account": np.flatnonzero(here),
                    "started": np.maximum(term_starts, life.joined)[here],
                    "renewal": renews[here],
                    "mrr": fee[here],
                    "begins": np.maximum(begins, life.joined)[here],
                    "ends": np.minimum(ends, life.left)[here],
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True).dropna(subset="mrr")
    # An annual term keeps its row and its dates; a monthly one begins anew with its fee.
    own = rows.groupby(["account", "started", "renewal", "mrr"], dropna=False, sort=False)
    rows = own.agg(begins=("begins", "min"), ends=("ends", "max")).reset_index()
    monthly = rows["renewal"].isna()
    started = np.where(monthly, rows["begins"], rows["started"])
    return pd.DataFrame(
        {
            "account_id": _names(rows["account"]),
            "started_at": _moment(started),
            "ended_at": _moment(np.where(rows["ends"] < cut, rows["ends"], np.nan)),
            "renewal_at": _moment(rows["renewal"]),
            "mrr": rows["mrr"],
        }
    )


def _month_day(month: Floats) -> Floats:
    """First days of months, which may lie before the start."""
    first = pd.date_range(START - pd.DateOffset(years=1), periods=MONTHS + 24, freq="MS")
    return np.asarray((first - START).days, dtype=float)[np.asarray(month, int) + 12]


def _moment(days: Floats) -> pd.DatetimeIndex:
    return (START + pd.to_timedelta(np.asarray(days, float), unit="D")).floor("s")


def _names(accounts: Floats) -> np.ndarray:
    return np.array([f"C-{account:06d}" for account in np.asarray(accounts, int)], dtype=object)
