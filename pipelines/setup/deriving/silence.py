"""Accounts that nothing says have left, and that use nothing any more: a person says what that is.

Where no contract ends, who leaves may close the account or only fall silent. To take silence for
staying teaches that it does not matter, and to take it for leaving is not for a draft to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.packs.views import View, with_views
from pipelines.setup.drafting.toml_text import quoted
from pipelines.setup.guessing.sql import day_of, in_language_of, named, table_named

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

VIEW = "left_or_silent"
SILENT_DAYS = 60
FEWEST, MUCH = 5, 0.05
"""Silent accounts: how many, and of those that nothing calls gone."""


def silent_accounts(guesses: Mapping[str, TableGuess], source: Source) -> tuple[str, str] | None:
    """Say how many accounts fell silent where only their own table says who left.

    Parameters
    ----------
    guesses : mapping of str to TableGuess
        By contract table.
    source : Source
        The tables, with the views that were made.

    Returns
    -------
    tuple of str or None
        The sections that count silence as leaving, as a comment, and the question in a sentence.
    """
    accounts, used = guesses.get("accounts"), guesses.get("usage_events", guesses.get("snapshots"))
    told = guesses.get("churn_events", guesses.get("subscriptions"))
    if accounts is None or used is None or used.missing or used.account_via is not None:
        return None
    if "labels" in guesses or (told is not None and told.source != accounts.source):
        return None
    time, key = used.columns.get("occurred_at", used.columns.get("observed_at")), "account_id"
    day = day_of(source.tables[used.source], time, source) if time else None
    if day is None or key not in used.columns or key not in accounts.columns:
        return None
    left = None if told is None else told.columns.get("churned_at", told.columns.get("ended_at"))
    closed = None
    if left:
        closed = day_of(source.tables[accounts.source], left, source)
        if closed is None:
            return None
    sql = in_language_of(source, _left_or_silent(accounts, used, day, closed))
    rows = with_views(source, {VIEW: View(sql=sql)}).tables[VIEW]
    facts = rows.aggregate(all=rows.count(), silent=rows.is_silent.sum()).execute().iloc[0]
    count = int(source.tables[accounts.source].count().execute())
    silent, staying = int(facts["silent"] or 0), count - int(facts["all"] - (facts["silent"] or 0))
    if silent < max(FEWEST, MUCH * staying):
        return None
    lines = [f"[views.{VIEW}]", f"sql = {quoted(sql)}", "[tables.churn_events]",
             f'from = "{VIEW}"', 'account_id = "account_id"', 'churned_at = "left_on"']  # fmt: skip
    said = (
        f"{silent:,} of {staying:,} accounts that {left or 'nothing'} does not call gone have had"
        f" no row of {used.made_from or used.source} for {SILENT_DAYS} days, and count as staying:"
        f" if silence means that they left, take the marks off [views.{VIEW}] in the draft"
    )
    note = f"# Does silence mean that an account has left? Then it left after {SILENT_DAYS} days:"
    return "\n".join(["", note, *(f"# {line}" for line in lines), ""]), said


def _left_or_silent(accounts: TableGuess, used: TableGuess, day: str, closed: str | None) -> str:
    """Select when accounts were closed, else when they had been silent for so long, SQL."""
    who, key = named(used.columns["account_id"]), named(accounts.columns["account_id"])
    silent = f"u.last_day + INTERVAL {SILENT_DAYS} DAY"
    gone = f"{closed}" if closed is not None else "CAST(NULL AS DATE)"
    return (
        f"WITH u_ AS (SELECT s.{who} AS account_id, MAX({day}) AS last_day FROM"
        f" {table_named(used.source)} AS s GROUP BY s.{who}),"
        f" a_ AS (SELECT s.{key} AS account_id, {gone} AS closed FROM"
        f" {table_named(accounts.source)} AS s)"
        f" SELECT a.account_id, COALESCE(a.closed, CAST({silent} AS DATE)) AS left_on,"
        " a.closed IS NULL AS is_silent FROM a_ AS a LEFT JOIN u_ AS u"
        " ON CAST(a.account_id AS TEXT) = CAST(u.account_id AS TEXT) WHERE"
        f" NOT a.closed IS NULL OR {silent} < (SELECT MAX(last_day) FROM u_)"
    )
