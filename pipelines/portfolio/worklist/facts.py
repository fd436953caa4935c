"""What a reason is about, by name: the open ticket, the overdue invoice, the feature dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from features.errors import HealthscoreError
from pipelines.project.project import Project
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import count, plural
from pipelines.reports.wording import day as written

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.tables.cleaning import CleanTable

SAID = 2
"""So many of a kind are named, and the rest counted."""
LATELY, BEFORE = 28, 118
"""A feature is dropped that was used in the 90 days before the last 28, and not in those."""
LONGEST = 40
TABLES = ("tickets", "invoices", "usage_events")
GROUPS = {"support": "tickets", "payments": "invoices", "adoption": "features", "usage": "features"}
"""Which facts a reason of a group is about."""
LONG_AGO = frozenset({"days_to_first_value"})
"""Signals of the beginning, which none of these facts is about."""


@dataclass(frozen=True)
class Facts:
    """What was open, overdue or given up on a date, in words; empty where nothing was.

    Parameters
    ----------
    tickets, invoices, features : str
        Such as "T-17 (billing), open 41 days".
    """

    tickets: str = ""
    invoices: str = ""
    features: str = ""

    def of(self, group: str | None) -> str:
        """Return what a reason of a group is about."""
        kind = GROUPS.get(group or "")
        return "" if kind is None else str(getattr(self, kind))


NOTHING = Facts()


def account_facts(
    project: Project, day: date, accounts: Collection[str]
) -> tuple[dict[str, Facts], list[HealthscoreError]]:
    """Look up what the reasons of some accounts are about, as it was known on a date.

    Parameters
    ----------
    project : Project
        The configuration.
    day : date
        Date of the scores: what came after it is not looked at.
    accounts : collection of str
        Their ids; each table is asked once for all of them.

    Returns
    -------
    facts : dict of str to Facts
        By account, of those of which anything is known.
    failures : list of HealthscoreError
        Why the tables could not be read, where they could not.
    """
    kinds: dict[str, dict[str, str]] = {}
    try:
        for kind, told in _read(project, day, sorted(accounts)):
            kinds[kind] = told
    except HealthscoreError as error:
        return {}, [error]
    known = {account for told in kinds.values() for account in told}
    return {
        account: Facts(**{kind: told.get(account, "") for kind, told in kinds.items()})
        for account in known
    }, []


def _read(
    project: Project, day: date, accounts: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    from features.sources.opening import remember
    from features.tables.company import clean_tables, labels_are_dated
    from pipelines.project.company import open_project_source

    settings = project.settings
    mapped = [name for name in TABLES if name in settings.tables.mapped()]
    if not accounts or not mapped:
        return
    with open_project_source(project) as source:
        names = [getattr(settings.tables, name).source or name for name in mapped]
        # Whether rows are there twice the night found out already.
        remember(source, names, settings.store.kept_folder(project.folder), only_reads=True)
        if not labels_are_dated(source, settings.tables):
            return
        tables = clean_tables(source, settings.tables, settings.reading, names=mapped)
        asked = _observations(day, accounts)
        if "tickets" in tables:
            yield "tickets", _tickets(asked, tables["tickets"], day)
        if "invoices" in tables:
            yield "invoices", _invoices(asked, tables["invoices"], day)
        if "usage_events" in tables and tables["usage_events"].has("feature"):
            yield "features", _features(asked, tables["usage_events"], day)


def _observations(day: date, accounts: Sequence[str]) -> ir.Table:
    import ibis
    import pandas as pd

    midnights = pd.Series([pd.Timestamp(day)] * len(accounts)).astype("datetime64[us]")
    frame = pd.DataFrame({"account_id": list(accounts), "observation_date": midnights})
    return ibis.memtable(frame)


def _tickets(asked: ir.Table, table: CleanTable, day: date) -> dict[str, str]:
    """Name the tickets that were open, the oldest first."""
    from features.tables.company import rows_known

    rows = rows_known(asked, table)
    if "closed_at" not in rows.columns:
        return {}
    rows = rows.filter(rows.closed_at.isnull())
    named = [name for name in ("ticket_id", "category", "priority") if name in rows.columns]
    frame = rows.select("account_id", "opened_at", *named).execute()
    frame = frame.sort_values(["account_id", "opened_at", *named], na_position="last")
    return {
        str(account): _listed([_ticket(one, named, day) for one in _records(own)], "ticket")
        for account, own in frame.groupby("account_id")
    }


def _ticket(row: dict[str, Any], named: Sequence[str], day: date) -> str:
    known = [_shown(row[name]) for name in named if _is_known(row[name])]
    title = known.pop(0) if "ticket_id" in named and _is_known(row["ticket_id"]) else "a ticket"
    # A number alone is no name.
    title = f"ticket {title}" if title.isdigit() else title
    about = f" ({', '.join(known)})" if known else ""
    return f"{title}{about}, open {_waited(row['opened_at'], day)}"


def _invoices(asked: ir.Table, table: CleanTable, day: date) -> dict[str, str]:
    """Name the invoices that were due and not paid, the oldest first."""
    from features.tables.company import rows_known

    rows = rows_known(asked, table)
    if "paid_at" not in rows.columns or "due_at" not in rows.columns:
        return {}
    rows = rows.filter(rows.paid_at.isnull() & (rows.due_at < rows.observation_date))
    amount = ["amount"] if "amount" in rows.columns else []
    frame = rows.select("account_id", "issued_at", "due_at", *amount).execute()
    frame = frame.sort_values(["account_id", "due_at", "issued_at"])
    return {
        str(account): _listed([_invoice(one, day) for one in _records(own)], "invoice")
        for account, own in frame.groupby("account_id")
    }


def _invoice(row: dict[str, Any], day: date) -> str:
    of = f" of {count(row['amount'])}" if _is_known(row.get("amount")) else ""
    late = _waited(row["due_at"], day)
    issued = f" from {written(row['issued_at'].date())}" if _is_known(row["issued_at"]) else ""
    return f"the invoice{of}{issued}, {late} overdue"


def _features(asked: ir.Table, table: CleanTable, day: date) -> dict[str, str]:
    """Name the features that were used before and not lately, the most used first."""
    import ibis

    from features.tables.company import rows_known

    first = datetime.combine(day, time()) - timedelta(days=BEFORE)
    rows = rows_known(asked, table.since(first), BEFORE)
    rows = rows.filter(rows.feature.notnull())
    lately = rows.occurred_at >= rows.observation_date - ibis.interval(days=LATELY)
    counted = rows.group_by("account_id", "feature").aggregate(
        before=(~lately).sum(), now=lately.sum()
    )
    frame = counted.filter((counted.now == 0) & (counted.before > 0)).execute()
    frame = frame.sort_values(["account_id", "before", "feature"], ascending=[True, False, True])
    return {
        str(account): f"not used in {LATELY} days: "
        + _listed([_feature(one, number) for number, one in enumerate(_records(own))], "feature")
        for account, own in frame.groupby("account_id")
    }


def _feature(row: dict[str, Any], number: int) -> str:
    times = plural(int(row["before"]), "time")
    when = "" if number else f" in the {BEFORE - LATELY} days before"
    return f"{_shown(row['feature'])} ({times}{when})"


def _waited(moment: datetime, day: date) -> str:
    """Say for how long, rounded as signals are: of one ticket both say the same."""
    days = round((datetime.combine(day, time()) - moment) / timedelta(days=1))
    return plural(days, "day") if days else "less than a day"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _listed(told: Sequence[str], noun: str) -> str:
    """Join what is told, and count what is left."""
    more = len(told) - SAID
    rest = [f"{plural(more, f'more {noun}')}"] if more > 0 else []
    return "; ".join([*told[:SAID], *rest])


def _is_known(value: object) -> bool:
    import pandas as pd

    return value is not None and not pd.isna(value)  # type: ignore[call-overload]


def _shown(value: object) -> str:
    return plain(str(value), LONGEST)
