"""A company whose churn changes, for tests of retraining."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

FIRST, LAST, CHANGE = date(2024, 1, 1), date(2025, 9, 1), date(2024, 10, 1)
CONFIG = """\
[source]
url = "data"
data_end = 2024-10-01
[tables.accounts]
attributes = ["plan"]
[tables.subscriptions]
[tables.usage_events]
[outcome]
horizon_days = 30
[training]
threads = 1
[retraining]
min_outcomes = 20
"""


def write_company(folder: Path, accounts: int = 350, seed: int = 3) -> None:
    """Quiet accounts churn until the change; from then on those of plan b do."""
    rng = np.random.default_rng(seed)
    lines = {
        "accounts": ["account_id,created_at,plan"],
        "subscriptions": ["account_id,started_at,ended_at"],
        "usage_events": ["account_id,occurred_at"],
    }
    for slot in range(accounts):
        plan, quiet = "ab"[slot % 2], rng.random() < 0.5
        every, started, turn = 45 if quiet else 9, FIRST, 0
        # Whoever leaves is followed by another of the kind, so that there are always as many.
        while started < LAST:
            ended, day = None, started
            while ended is None and day < LAST:
                at_risk = quiet if day < CHANGE else plan == "b"
                if rng.random() < (0.08 if at_risk else 0.005):
                    ended = day + timedelta(days=1 + int(rng.integers(29)))
                day += timedelta(days=30)
            name, last = f"C{slot}-{turn}", LAST if ended is None else ended
            lines["accounts"].append(f"{name},{started},{plan}")
            lines["subscriptions"].append(f"{name},{started},{ended or ''}")
            days = range(int(rng.integers(every)), (last - started).days, every)
            lines["usage_events"] += [f"{name},{started + timedelta(days=day)}" for day in days]
            started, turn = last + timedelta(days=1), turn + 1
    (folder / "data").mkdir(parents=True)
    (folder / "healthscore.toml").write_text(CONFIG, encoding="utf-8")
    for name, text in lines.items():
        (folder / "data" / f"{name}.csv").write_text("\n".join(text) + "\n", encoding="utf-8")


def let_time_pass(config: Path) -> None:
    """Let the configuration read all there is, the months after the change included."""
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("data_end = 2024-10-01\n", ""), encoding="utf-8")
