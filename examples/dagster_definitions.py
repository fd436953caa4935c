"""Score and check every day with Dagster: ``dagster dev -f examples/dagster_definitions.py``.

``HEALTHSCORE_CONFIG`` names the configuration, and ``healthscore`` must be on the path; it may live
in an environment of its own, since it shares no library with Dagster. The exit codes of
``healthscore monitor`` choose which output is given, and so what comes next; every other one fails
the step.
"""

import os
import subprocess

import dagster as dg

CONFIG = os.environ.get("HEALTHSCORE_CONFIG", "healthscore.toml")
NEXT = {0: "well", 10: "moved", 12: "broken", 13: "kept"}


def healthscore(*arguments: str) -> int:
    """Run a command whose output goes to the step's log, and return its exit code."""
    return subprocess.run(["healthscore", *arguments, "-c", CONFIG], check=False).returncode


class Day(dg.Config):
    """The date whose signals are wanted."""

    as_of: str


@dg.op
def score(config: Day) -> str:
    """Issue the day's scores."""
    code = healthscore("score", "--as-of", config.as_of)
    if code:
        raise dg.Failure(f"healthscore score ended with exit code {code}", allow_retries=code == 6)
    return config.as_of


@dg.op(out={name: dg.Out(str, is_required=False) for name in NEXT.values()})
def monitor(day: str):
    """Check the champion, and retrain it where that is due."""
    code = healthscore("monitor", "--as-of", day, "--retrain", "--out", "drift.html")
    if code not in NEXT:
        raise dg.Failure(f"healthscore monitor ended with exit code {code}", allow_retries=False)
    yield dg.Output(day, NEXT[code])


@dg.op
def look_at_the_report(context: dg.OpExecutionContext, day: str) -> None:
    """Point to drift.html: something moved, and it says what, where and since when."""
    context.log.warning(f"Something moved by {day}: look at drift.html")


@dg.op
def repair_the_feed(day: str) -> None:
    """Fail the run, so that whoever watches failures repairs the data."""
    raise dg.Failure(f"A data feed is broken on {day}: drift.html says which", allow_retries=False)


@dg.op
def champion_stays(day: str) -> None:
    """Say why a model that was trained is not used."""
    healthscore("history")


@dg.job
def healthscore_daily():
    """Issue the day's scores, check the champion, and go where its exit code leads."""
    _, moved, broken, kept = monitor(score())
    look_at_the_report(moved)
    repair_the_feed(broken)
    champion_stays(kept)


@dg.schedule(job=healthscore_daily, cron_schedule="0 5 * * *")
def every_morning(context: dg.ScheduleEvaluationContext):
    """Give each run the date it was due on."""
    day = f"{context.scheduled_execution_time:%Y-%m-%d}"
    return dg.RunRequest(run_key=day, run_config=dg.RunConfig(ops={"score": Day(as_of=day)}))


defs = dg.Definitions(jobs=[healthscore_daily], schedules=[every_morning])
