"""Write a first, commented configuration for a folder of tables nobody has described yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, sample
from features.sources.files.listing import table_files
from features.sources.url import is_address, masked
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.setup.toml_text import comment, quoted
from pipelines.setup.vendors import NO_ANSWERS, Answers, Found, arrange, find_vendors, parts_of

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.guess import TableGuess

_HEAD = """\
# Healthscore: which tables to read, what to predict, and what a score means.
# Drafted from the files in {folder}: read every line marked "check" before you train.

[source]
# A folder of Parquet and CSV files, or a DuckDB file; relative to this file. Also a server:
# "postgresql://user@host:5432/crm?schema=sales" or "spark://?master=yarn&database=crm".
{url}
# The first day of which nothing is known; by default the day after the last row.
# data_end = 2026-01-01
"""
_OUTCOME = """
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

[serve]
# The control panel, 'healthscore serve'. Who may enter is written by 'healthscore user add NAME';
# without users it is open to this machine alone.
host = "127.0.0.1"
port = 8000
# The column of the accounts table that names who looks after an account; users may be limited by
# it to their own accounts.
# owner = "csm"
"""


def write_draft(
    place: str | Path,
    target: Path,
    *,
    registry: Path | None = None,
    force: bool = False,
    answers: Answers = NO_ANSWERS,
) -> tuple[str, list[str]]:
    """Look at tables and write a draft configuration.

    Parameters
    ----------
    place : str or Path
        A folder or DuckDB file; where a folder holds no tables, the folders in it, one for each
        vendor. Or the address of a server, without a password.
    target : Path
        The file to write.
    registry : Path, optional
        Folder for models; ``mlruns`` beside the configuration when left out.
    force : bool
        Whether an existing file may be replaced.
    answers : Answers
        What a person says of vendors.

    Returns
    -------
    str
        The draft.
    list of str
        What could not be guessed, one sentence each.

    Raises
    ------
    SettingsError
        When the file exists already, no table looks like accounts, or an address holds a password.
    DataError
        When the source cannot be read.
    """
    from features.sources.opening import open_source

    if target.exists() and not force:
        raise SettingsError(
            f"The configuration '{target}' exists already; pass --force to replace it or name"
            " another with -c"
        )
    unfinished = None
    url, parts = places(str(place))
    shown = None if url is None else _as_written(str(place), target)
    with open_source(url, Path(), parts=parts) as source:
        models = "mlruns" if registry is None else _relative(registry, target)
        try:
            vendors = [
                replace(each, url=each.url and _relative(Path(each.url), target))
                for each in find_vendors(source, parts, only=answers.only)
            ]
            text, doubts = draft(source, shown, models, vendors, answers)
        except SettingsError as error:
            if answers != NO_ANSWERS:
                raise
            unfinished, text, doubts = error, _skeleton(source, shown, models), []
    with replaced_whole(target) as fresh:
        fresh.write_bytes(text.encode())
    if unfinished is not None:
        raise SettingsError(f"{unfinished}; '{target}' lists the columns to fill in")
    return text, doubts


def places(place: str) -> tuple[str | None, dict[str, str]]:
    """Return the source's own address, and those of the folders in it; it may hold only these."""
    if is_address(place):
        return place, {}
    whole = Path(place).resolve()
    parts = parts_of(whole)
    if parts:
        try:
            table_files(whole)
        except DataError:
            return None, parts
    # Folders beside tables of one's own are other things, until a person names them.
    return str(whole), {}


def _as_written(place: str, target: Path) -> str:
    """Return an address as the configuration has it: a path from its folder, or a server's."""
    if not is_address(place):
        return _relative(Path(place), target)
    if masked(place) != place:
        raise SettingsError(
            f"The address '{masked(place)}' holds a password, and the configuration is no place for"
            " one; give it as ${NAME} of a variable, or leave it to the server's own file"
        )
    return place


def _url_line(url: str | None) -> str:
    return '# url = "tables"' if url is None else f"url = {quoted(url)}"


def _skeleton(source: Source, url: str | None, registry: str) -> str:
    """Write what a person fills in where nothing could be guessed: every table with its columns."""
    lines = [
        "\n# Say which table holds the accounts, which their contracts, and in which columns:\n"
        '# [tables.accounts]\n# from = "TABLE"\n# account_id = "COLUMN"\n# created_at = "COLUMN"\n'
        '# [tables.subscriptions]\n# from = "TABLE"\n# account_id = "COLUMN"\n'
        '# started_at = "COLUMN"\n# ended_at = "COLUMN"\n\n# What is there:\n'
    ]
    for name in list(source.tables)[:MOST_LISTED]:
        columns = ", ".join(comment(column) for column in source.tables[name].columns)
        lines.append(f"# {comment(name)}: {columns[:400]}\n")
    head = _HEAD.format(folder=comment(url or source.url), url=_url_line(url))
    return "".join([head, *lines, _OUTCOME, _TAIL.format(registry=quoted(registry))])


def draft(
    source: Source,
    url: str | None,
    registry: str,
    vendors: Sequence[Found] = (),
    answers: Answers = NO_ANSWERS,
) -> tuple[str, list[str]]:
    """Compose the configuration's text and the list of doubts."""
    from pipelines.setup.guessing.guess import attributes_of, common_features, guess_tables

    sections: list[str] = []
    notes: list[str] = []
    if vendors:
        arranged = arrange(source, vendors, answers)
        guesses, left, source = arranged.guesses, arranged.left, arranged.source
        sections, notes = arranged.sections, arranged.notes
    else:
        guesses, left = guess_tables(source)
    by_name = {guess.name: guess for guess in guesses}
    if "accounts" not in by_name:
        raise SettingsError(
            f"No table of '{source.url}' looks like accounts (it holds"
            f" {sample(sorted(source.tables), 8)}"
            f"{f'; not read: {sample(source.unread, 8)}' if source.unread else ''});"
            " name one file accounts"
        )
    accounts = by_name["accounts"]
    attributes, sensitive, skipped = attributes_of(accounts, source.tables[accounts.source])
    parts = [_HEAD.format(folder=comment(url or source.url), url=_url_line(url)), *sections]
    tells_of_churn = bool({"subscriptions", "churn_events"} & set(by_name))
    labels = by_name.get("labels")
    doubts = notes + ([] if tells_of_churn or labels is not None else [_NO_OUTCOME])
    if tells_of_churn and labels is not None and "observed_at" not in labels.columns:
        # Beside tables with dates a label must name its own.
        labels.missing.append("observed_at")
    numbers = {guess.numbers_as_times for guess in guesses if guess.numbers_as_times}
    if numbers:
        parts.append(f"\n[reading]\nnumbers_as_times = {quoted(sorted(numbers)[0])}  # check\n")
    if source.unread:
        doubts.append(
            f"Not read, as neither Parquet nor delimited text: {sample(source.unread, 8)}"
        )
    for guess in guesses:
        parts.append(_table_section(guess, attributes, skipped))
        doubts += [f"{guess.source} has no column that looks like {name}" for name in guess.missing]
        doubts += [f"{guess.source}: {note}" for note in guess.notes]
    if left:
        parts.append(f"\n# Not mapped: {', '.join(comment(name) for name in left)}\n")
        doubts.append(f"Tables that fit nothing: {sample(left, 8)}")
    parts.append(_OUTCOME if tells_of_churn else _OUTCOME.replace(_CHURN, _LABEL))
    usage = by_name.get("usage_events")
    features = common_features(usage, source.tables[usage.source]) if usage else []
    parts.append(_signals_section(features, sensitive))
    parts.append(_segments_section(by_name, attributes))
    parts.append(_TAIL.format(registry=quoted(registry)))
    return "".join(parts), doubts


MOST_LISTED = 100
_NO_OUTCOME = "No table tells of churn: map subscriptions (with ended_at), churn_events or labels"
_CHURN = 'kind = "churn"\n'
_LABEL = """\
# What the labels say. Whether that is good news, so that a high score means it is likely:
kind = "label"
good = false  # check
"""


def _table_section(guess: TableGuess, attributes: list[str], skipped: list[str]) -> str:
    # A table that lacks what it must have would stop every command: it is left as a comment.
    mark = "# " if guess.missing else ""
    lines = [f"\n{mark}[tables.{guess.name}]", f"{mark}from = {quoted(guess.source)}"]
    lines += [f"# check: {comment(note)}" for note in guess.notes]
    lines += [f"{mark}{name} = {quoted(origin)}" for name, origin in guess.columns.items()]
    lines += [f"# check: no column looks like {name}, which is required" for name in guess.missing]
    for column, words in guess.keep:
        condition = f"{{ column = {quoted(column)}, not_in = {quoted(words)} }}"
        lines.append(f"{mark}keep = [{condition}]")
    if guess.account_via is not None:
        table, key, account = guess.account_via
        lines.append(
            f"{mark}account_via = {{ table = {quoted(table)}, key = {quoted(key)},"
            f" account_id = {quoted(account)} }}"
        )
    if guess.name == "accounts":
        lines.append("# Columns that describe an account; they may name segments.")
        lines.append(f"{mark}attributes = {quoted(attributes)}")
        if skipped:
            listed = ", ".join(comment(name) for name in skipped)
            lines.append(f"# check: left out, as outcome, free text or date: {listed}")
    return "\n".join(lines) + "\n"


def _signals_section(features: list[str], sensitive: list[str]) -> str:
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
        "builders = []\n" + _SIGNAL_OPTIONS
    )


_SIGNAL_OPTIONS = """
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


def _segments_section(guesses: dict[str, TableGuess], attributes: list[str]) -> str:
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


def _relative(folder: Path, target: Path) -> str:
    return Path(os.path.relpath(folder.resolve(), target.resolve().parent)).as_posix()
