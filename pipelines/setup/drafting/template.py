"""The parts of a drafted configuration that are the same for every company."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.setup.drafting.toml_text import comment, quoted

if TYPE_CHECKING:
    from pipelines.setup.guessing.columns import TableGuess

HEAD = """\
# Healthscore: which tables to read, what to predict, and what a score means.
# Drafted from the files in {folder}: read every line marked "check" before you train.

[source]
# A folder of Parquet and CSV files, or a DuckDB file; relative to this file. Also a server:
# "postgresql://user@host:5432/crm?schema=sales" or "spark://?master=yarn&database=crm".
{url}
# The first day of which nothing is known; by default the day after the last row.
# data_end = 2026-01-01
"""
OUTCOME = """
[outcome]
kind = "churn"
# The label is read over [observation + lead_days, observation + lead_days + horizon_days).
horizon_days = 30
# Days left to act before the window opens.
lead_days = 14
# Observation dates: "month" (the first of each), "week" (Mondays) or a number of days.
spacing = "month"
# Where churn is read from subscriptions: a gap up to this many days is no churn.
grace_days = 7

# Further outcomes, each with a model, a score and a place in the store of its own; what one leaves
# out is as in [outcome]. Train and score it with --outcome growth:
# [outcomes.growth]
# kind = "expansion"  # or contraction: MRR at the window's end, by change_share or more
# horizon_days = 90
# change_share = 0.1
# [outcomes.rollout]
# kind = "adoption"
# target = { measure = "users", at_least = 5 }  # or events, features; feature = "report"
# [outcomes.renewal]
# kind = "label"  # what [tables.labels] says: account_id, observed_at, happened
# good = true
"""
_TAIL = """
[score]
# The churn probability of score 50 and those from which an account is at-risk or on watch are
# written here by the first training, and stay, so that a score means the same from then on. They
# are of accounts that have to decide (reading = "decision"), or as contracts stand ("window");
# term_anchors are the probabilities of score 50 where a decision is about a longer term.

[training]
seed = 7
threads = 2
# How many of the newest observation dates judge the model; by default about a quarter.
# holdout_dates = 4

[backtest]
# How many later spans of dates test models that saw only what had matured before each.
origins = 4

[tuning]
# How many seconds each training searches for better parameters; 0 trains with the defaults.
seconds = 0
# Deepest tree that is tried: deeper ones foretell no better and take longer to explain.
max_depth = 6
# Most trials, for a search that ends alike on every machine:
# trials = 60

[scorecard]
# The weights your team scores by today, in percent; 'healthscore recommend' says what to change.
# Signal groups, or measures of your own; without any, equal weights stand in.
# weights = {{ usage = 30, adoption = 20, support = 20, surveys = 20, relationship = 10 }}
# Scores below are red, from green_from on green; by default as many as the model calls so.
# red_below = 40
# green_from = 70
# [scorecard.segments]  # where a segment is weighed in another way
# "plan=enterprise" = {{ usage = 20, support = 40, relationship = 40 }}
# [scorecard.measures.nps]  # a measure of your own: the value and its grade, 0 to 100
# signals = ["nps_last"]
# grades = [[0, 0], [7, 50], [10, 100]]

# What to do about a reason: of a single signal, else of its group.
# [plays.signals]
# overdue_invoices = "Let finance call about the open invoice"
# [plays.groups]
# usage = "Offer a working session on the features they dropped"

[registry]
# Models, metrics and plots (MLflow); relative to this file.
folder = {registry}
model_name = "healthscore"

[store]
# Where issued scores are kept: a DuckDB file; a folder of Parquet files, with a slash at its end
# ("scores/"); or a server, "postgresql://user@host:5432/crm?schema=healthscore".
url = "scores.duckdb"
# Reasons are kept for ever; with this they are let go after so many days (396 are 13 months), and
# all else of a run stays. 'healthscore compact' then makes the store smaller.
# keep_reasons_days = 396
# A folder of Parquet files may be a Delta table as well: pip install 'healthscore[delta]'.
# delta = true

[serve]
# The control panel, 'healthscore serve'. Who may enter is written by 'healthscore user add NAME';
# without users it is open to this machine alone.
host = "127.0.0.1"
port = 8000
# The column of the accounts table that names who looks after an account; users may be limited by
# it to their own accounts.
{owner}
"""
SIGNAL_OPTIONS = """
# The words that tickets are sorted by (case is ignored), where yours are others:
# [signals.tickets]
# severe = ["urgent", "critical", "p1"]
# bug = ["bug", "incident"]
# how_to = ["how-to", "question"]
# feature_request = ["feature request"]

# What the levels of a manager's rating mean. Each dimension named so becomes a signal of its own.
# [signals.rubric.sponsor]
# 5 = "Meets monthly, answers within a day"
# 4 = "Meets each quarter"

# Columns of a table of snapshots that become signals: see [tables.snapshots].
# [signals.own.seat_growth]
# group = "usage"
# healthy = "higher"

# Healthy directions of your own, in place of the catalogue's: "higher", "lower", or "none" where
# the model may learn either way.
# [signals.healthy]
# usage_28d = "none"

# Accounts are in onboarding, then established, and in renewal when the contract renews soon:
# [signals.lifecycle]
# onboarding_days = 90
# renewal_days = 90
"""


def tail(registry: str, owner: str | None = None) -> str:
    """Write the last sections: where models are kept, and the column of owners if one is known."""
    named = '# owner = "csm"' if owner is None else f"owner = {quoted(owner)}"
    return _TAIL.format(registry=quoted(registry), owner=named)


def signals_section(features: list[str], sensitive: list[str]) -> str:
    """Write what signals may be chosen."""
    return (
        "\n[signals]\n"
        "# Product features that get signals of their own. Name the few that show value: what all\n"
        "# use alike says the same as usage volume.\n"
        f"# most used: {comment(quoted(features), 300)}\n"
        "key_features = []\n"
        "# Attributes that are never inputs; results are audited across them.\n"
        f"sensitive = {quoted(sensitive)}\n"
        '# Signal groups to leave out, such as "referrals".\n'
        "groups_off = []\n"
        "# Python files with builders of your own, relative to this file.\n"
        "builders = []\n" + SIGNAL_OPTIONS
    )


def segments_section(guesses: dict[str, TableGuess], attributes: list[str]) -> str:
    """Write which signals name segments."""
    subscriptions = guesses.get("subscriptions")
    plan = (subscriptions is not None and "plan" in subscriptions.columns) or "plan" in attributes
    return (
        "\n[segments]\n"
        "# Profile signals whose values get weights of their own; small ones share their"
        " parent's.\n"
        f"columns = {quoted(['plan'] if plan else [])}\n"
        "# Lifecycle stages by tenure split segments further:\n"
        '# lifecycle = [{ name = "onboarding", until_days = 90 }, { name = "established" }]\n'
    )
