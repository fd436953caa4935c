"""A company drawn at random as tables on disk, and as the labelled feature table of the product."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _companies import ABOUT, KEYS, TABLE
from _drawn import END, MONTHS, START, Life, live, true_weights

TRUTH = "true_probability"
CONFIGURATION = """[source]
url = "data"
data_end = {end}
[tables.accounts]
attributes = ["plan"]
{tables}
[outcome]
kind = "churn"
horizon_days = 31
lead_days = 0
spacing = "month"
[segments]
columns = ["plan"]
[registry]
folder = "mlruns"
model_name = "drawn"
[store]
url = "scores.duckdb"
"""


def write_life(folder: Path, life: Life, day: int = END) -> None:
    """Write the tables of a company as they are on a day, and a configuration that reads them."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    tables = {name: table for name, table in _tables(life, day).items() if len(table)}
    for name, table in tables.items():
        table.to_parquet(folder / "data" / f"{name}.parquet")
    listed = "\n".join(f"[tables.{name}]" for name in tables if name != "accounts")
    end = (START + pd.Timedelta(days=day)).date()
    text = CONFIGURATION.format(end=end, tables=listed)
    (folder / "healthscore.toml").write_text(text, encoding="utf-8")


def write_drawn(folder: Path, accounts: int, seed: int) -> dict[str, Any]:
    """Draw a company, write its tables, and build the signals of every labelled month."""
    from pipelines.project.project import load_project
    from pipelines.project.rows import labelled_rows

    life = live(seed, accounts)
    write_life(folder, life)
    project = load_project(folder / "healthscore.toml")
    rows = labelled_rows(project)
    truth = pd.concat(life.rows)
    truth = pd.DataFrame(
        {
            "account_id": account_names(truth["account"]),
            "observation_date": truth["date"].astype(rows.frame["observation_date"].dtype),
            TRUTH: truth["true"],
        }
    )
    # Months in which an account is too young to behave as the truth says are not judged.
    frame = rows.frame.merge(truth, on=KEYS, how="inner", validate="1:1")
    frame.to_parquet(folder / TABLE)
    segments = project.settings.segments
    about = {
        "signals": [signal.to_dict() for signal in rows.signals],
        "maturity_days": project.settings.outcome.maturity_days,
        "segments": segments.model_dump(include={"columns", "min_rows", "min_positives"}),
        "true_weights": true_weights(life),
    }
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    return {
        "rows": len(frame),
        "positives": int(frame["happened"].sum()),
        "content": f"{accounts}_{seed}",
    }


def account_names(accounts: Any) -> np.ndarray:
    return np.array([f"C-{account:06d}" for account in np.asarray(accounts, int)], dtype=object)


def _moment(days: Any, day: int) -> pd.DatetimeIndex:
    """Turn days into moments to the second; what lies after a day is not on record by then."""
    days = np.asarray(days, float)
    on_record = np.where(days < day, days, np.nan)
    return (START + pd.to_timedelta(on_record, unit="D")).floor("s")


def _tables(life: Life, day: int) -> dict[str, pd.DataFrame]:
    """Give the tables the names and columns that the product knows."""
    everybody = np.flatnonzero(life.joined < day)
    fees = np.round(30 * np.exp(0.6 * life.of.size[life.segment]), 2)
    left = np.flatnonzero(life.left <= day)
    use, tickets, bills, referrals, surveys, ratings, acts = (
        life.known(name)
        for name in (
            "usage_events",
            "tickets",
            "invoices",
            "referrals",
            "surveys",
            "ratings",
            "interventions",
        )
    )
    tickets, referrals = tickets[tickets.opened < day], referrals[referrals.day < day]

    def table(accounts: Any, **columns: Any) -> pd.DataFrame:
        return pd.DataFrame({"account_id": account_names(accounts), **columns})

    plans = np.array([f"tier{segment}" for segment in life.segment], dtype=object)
    who = surveys.account
    return {
        "accounts": table(everybody, created_at=_created(life)[everybody], plan=plans[everybody]),
        "churn_events": table(left, churned_at=_moment(life.left[left], day)),
        "subscriptions": _subscriptions(life, fees, day),
        "usage_events": table(
            use.account,
            occurred_at=_moment(use.day, day),
            feature=np.array([f"feature_{n}" for n in range(14)], dtype=object)[use.what],
        ),
        "tickets": table(
            tickets.account,
            opened_at=_moment(tickets.opened, day),
            closed_at=_moment(tickets.closed, day),
            priority=np.where(tickets.urgent, "urgent", "normal").astype(object),
        ),
        "invoices": table(
            bills.account,
            issued_at=_moment(bills.issued, day),
            due_at=(START + pd.to_timedelta(bills.due, unit="D")).to_numpy(),
            paid_at=_moment(bills.paid, day),
            amount=fees[bills.account],
        ),
        "referrals": table(referrals.account, referred_at=_moment(referrals.day, day)),
        "surveys": table(
            who,
            sent_at=_moment(surveys.sent, day),
            responded_at=_moment(surveys.answered, day),
            kind="nps",
            score=surveys.score.to_numpy(),
        ),
        "ratings": table(
            ratings.account,
            rated_at=_moment(ratings.day, day),
            rater=[f"owner{number}" for number in ratings.by],
            dimension="sponsor",
            rating=ratings.rating.to_numpy(),
        ),
        "interventions": table(acts.account, occurred_at=_moment(acts.day, day), play="call"),
    }


def _created(life: Life) -> pd.DatetimeIndex:
    return START + pd.to_timedelta(life.joined, unit="D")


def _subscriptions(life: Life, fees: np.ndarray, day: int) -> pd.DataFrame:
    """Monthly contracts run on; annual ones renew on the first of their own month."""
    parts = []
    months = pd.date_range("2021-01-01", periods=MONTHS + 60, freq="MS")
    firsts = np.asarray((months - START).days)
    for year in range(5):
        begin, renewal = (
            firsts[life.anniversary + 12 * year],
            firsts[life.anniversary + 12 * year + 12],
        )
        begin = np.maximum(begin, life.joined)
        runs = life.annual & (renewal > life.joined) & (begin < np.minimum(life.left, day))
        parts.append((np.flatnonzero(runs), begin[runs], renewal[runs], "annual"))
    monthly = np.flatnonzero(~life.annual & (life.joined < day))
    parts.append((monthly, life.joined[monthly], np.full(len(monthly), np.nan), "monthly"))
    tables = []
    for who, begin, renewal, period in parts:
        ended = np.fmin(life.left[who], renewal)
        tables.append(
            pd.DataFrame(
                {
                    "account_id": account_names(who),
                    "started_at": START + pd.to_timedelta(begin, unit="D"),
                    "ended_at": _moment(ended, day),
                    "renewal_at": START + pd.to_timedelta(renewal, unit="D"),
                    "mrr": fees[who],
                    "billing_period": period,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
