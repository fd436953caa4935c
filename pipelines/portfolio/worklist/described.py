"""Who an account is, who looks after it and when its contract renews, as its tables say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pipelines.project.account_texts import tables_with
from pipelines.project.project import Project

if TYPE_CHECKING:
    from features.sources.source import Source
    from features.tables.company import Company

# Who is active on a date, in which stage, and when a contract renews is read from these alone.
TABLES = ("accounts", "subscriptions", "churn_events", "labels")


@dataclass(frozen=True)
class Described:
    """What the tables say of an account; None where they do not.

    Parameters
    ----------
    name, owner : str or None
        What people call it, and who looks after it.
    renewal : date or None
        When its contract renews next, as far as was known on the date.
    """

    name: str | None = None
    owner: str | None = None
    renewal: date | None = None


UNKNOWN = Described()


def contract_tables(project: Project, source: Source, owner: str | None, day: date) -> Company:
    """Map the few tables that tell who an account is, without counting what is wrong with them.

    Parameters
    ----------
    project : Project
        The configuration.
    source : Source
        Its tables, open.
    owner : str or None
        Column of the accounts table that names who looks after an account.
    day : date
        Date of the scores.
    """
    from features.tables.company import Company, clean_tables, labels_are_dated

    settings, reading = project.settings.tables, project.settings.reading
    is_dated = labels_are_dated(source, settings)
    settings = tables_with(settings, owner)
    tables = clean_tables(source, settings, reading, is_dated=is_dated, names=TABLES)
    from pipelines.project.company import left_out

    return Company(source.engine, left_out(project, tables), {}, day)


def described_accounts(
    project: Project, day: date, accounts: Collection[str]
) -> dict[str, Described]:
    """Look up some accounts, those that the accounts table knows.

    Parameters
    ----------
    project : Project
        The configuration, whose ``[serve] owner`` names the column of owners.
    day : date
        Date of the scores.
    accounts : collection of str
        Their ids.

    Raises
    ------
    DataError
        When the tables cannot be read.
    """
    from features.observations import active_accounts
    from pipelines.project.company import open_project_source

    ids, owner = sorted(accounts), project.settings.serve.owner
    with open_project_source(project) as source:
        company = contract_tables(project, source, owner, day)
        table = company.tables["accounts"].cleaned
        columns = {"account_id": table.account_id}
        if "name" in table.columns:
            columns["name"] = table.name
        if owner is not None:
            columns["owner"] = table[owner].cast("string")
        rows = table.filter(table.account_id.isin(ids)).select(**columns)
        names = rows.execute().astype(object)
        renewals: dict[str, date] = {}
        if company.is_dated:
            active = active_accounts(company, [day])
            if "renewal_at" in active.columns:
                known = active.filter(active.account_id.isin(ids) & active.renewal_at.notnull())
                frame = known.select("account_id", "renewal_at").execute()
                renewals = {
                    str(account): moment.date()
                    for account, moment in zip(
                        frame["account_id"], frame["renewal_at"], strict=True
                    )
                }
    told = names.where(names.notna(), None).to_dict("records")
    return {
        row["account_id"]: Described(
            row.get("name"), row.get("owner"), renewals.get(row["account_id"])
        )
        for row in told
    }
