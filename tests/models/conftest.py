"""A small company whose churn is known, trained once for all tests of the room."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.catalog import Signal
from models.churn.segments import SegmentSettings
from models.registry.files import log_challenger, log_champion
from models.training.fit import fit_health_model
from models.training.learning import Learning

SLOPES = {"starter": (1.6, 0.3), "growth": (0.9, 0.9), "enterprise": (0.3, 1.6)}


def company(accounts: int = 900, dates: int = 8, seed: int = 0) -> pd.DataFrame:
    """Monthly rows of three plans; usage drives starters, tickets drive enterprises."""
    rng = np.random.default_rng(seed)
    plan = rng.choice(list(SLOPES), accounts, p=[0.5, 0.3, 0.2])
    slopes = np.array([SLOPES[name] for name in plan])
    frames = []
    for month in range(dates):
        usage, tickets = rng.normal(size=(2, accounts))
        log_odds = -2.6 - slopes[:, 0] * usage + slopes[:, 1] * tickets
        billing = rng.choice(["monthly", "annual", None], accounts)
        log_odds += np.where(billing == "monthly", 0.7, 0.0)
        frames.append(
            pd.DataFrame(
                {
                    "account_id": [f"A-{i:04d}" for i in range(accounts)],
                    "observation_date": pd.Timestamp("2025-01-01") + pd.DateOffset(months=month),
                    "segment": plan,
                    "plan": plan,
                    "usage_28d": np.expm1(np.clip(usage + 4, 0, None)),
                    "usage_change": np.where(
                        rng.random(accounts) < 0.3, np.nan, usage + rng.normal(size=accounts)
                    ),
                    "tickets_90d": tickets,
                    "billing_period": billing,
                    "never_known": np.nan,
                    "always_one": 1.0,
                    "tenure_days": rng.integers(0, 900, accounts).astype(float),
                    "truth": log_odds,
                    "happened": (rng.random(accounts) < expit(log_odds)).astype("int8"),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


SIGNALS = (
    Signal("usage_28d", "usage", "count", "higher", "Usage", 28, "{value} uses in 28 days"),
    Signal("usage_change", "usage", "change", "higher", "Usage", 28, "Usage {value} in a month"),
    Signal("tickets_90d", "support", "count", "lower", "Tickets", 90, "{value} tickets"),
    Signal("billing_period", "payments", "category", "none", "Billing", None, "Billing is {value}"),
    Signal("never_known", "surveys", "count", "higher", "Survey", 90, "Answered {value}"),
    Signal("always_one", "referrals", "flag", "higher", "Referral", 90, "Referred: {value}"),
    Signal("tenure_days", "profile", "days", "none", "Tenure", None, "Customer for {value}"),
)
MATURITY = 44


@pytest.fixture(scope="session")
def make_company():
    return company


@pytest.fixture(scope="session")
def frame():
    return company()


@pytest.fixture(scope="session")
def signals():
    return SIGNALS


@pytest.fixture(scope="session")
def result(frame):
    return fit_health_model(
        frame,
        SIGNALS,
        Learning(
            maturity_days=MATURITY,
            segments=SegmentSettings(("plan",), (("onboarding", 90),)),
            seed=3,
        ),
    )


@pytest.fixture(scope="session")
def registered(result, tmp_path_factory):
    """A registry with a champion and two challengers; nobody moves them here."""
    folder = tmp_path_factory.mktemp("registered")
    kept = {"folder": folder, "name": "health", "params": {}, "files": {}, "figures": {}}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert log_champion(result, **kept, reasons=["the first"]) == "1"
        assert [log_challenger(result, **kept) for _ in range(2)] == ["2", "3"]
    return folder
