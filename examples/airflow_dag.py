"""Score and check every day with Airflow 3: put this file into its folder of DAGs.

``HEALTHSCORE_CONFIG`` names the configuration, and ``healthscore`` must be on the worker's path; it
may live in an environment of its own, since it shares no library with Airflow. The exit codes of
``healthscore monitor`` choose what comes next; every other one fails the task.
"""

from __future__ import annotations

import os
import subprocess
from datetime import datetime

from airflow.sdk import dag, task

CONFIG = os.environ.get("HEALTHSCORE_CONFIG", "healthscore.toml")
NEXT = {0: "all_is_well", 10: "look_at_the_report", 12: "repair_the_feed", 13: "champion_stays"}


def healthscore(*arguments: str) -> int:
    """Run a command whose output goes to the task's log, and return its exit code."""
    return subprocess.run(["healthscore", *arguments, "-c", CONFIG], check=False).returncode


@dag(schedule="0 5 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def healthscore_daily():
    """Issue the day's scores, check the champion, and retrain it where that is due."""

    @task(retries=2)
    def score(data_interval_end=None):
        code = healthscore("score", "--as-of", f"{data_interval_end:%Y-%m-%d}")
        if code:
            raise RuntimeError(f"healthscore score ended with exit code {code}")

    @task.branch
    def monitor(data_interval_end=None):
        day = f"{data_interval_end:%Y-%m-%d}"
        code = healthscore("monitor", "--as-of", day, "--retrain", "--out", "drift.html")
        if code not in NEXT:
            raise RuntimeError(f"healthscore monitor ended with exit code {code}")
        return NEXT[code]

    @task
    def all_is_well():
        """Do nothing: nothing moved, or a better model serves since just now."""

    @task
    def look_at_the_report():
        """Point to drift.html: something moved, and it says what, where and since when."""

    @task
    def repair_the_feed():
        """Fail the run, so that whoever watches failures repairs the data."""
        raise RuntimeError("A data feed is broken: drift.html says which; nothing was retrained")

    @task
    def champion_stays():
        """Say why a model that was trained is not used."""
        healthscore("history")

    ends = [all_is_well(), look_at_the_report(), repair_the_feed(), champion_stays()]
    score() >> monitor() >> ends


healthscore_daily()
