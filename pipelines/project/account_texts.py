"""What the accounts table says of some accounts today, such as their name or their owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.project.project import Project

if TYPE_CHECKING:
    from features.tables.mapping.mapping import TablesSettings

NAME = "name"


def tables_with(settings: TablesSettings, column: str | None) -> TablesSettings:
    """Map a further column of the accounts table, as that of owners, who are no attribute."""
    listed = settings.accounts.attributes
    if column in (None, NAME, *listed):
        return settings
    accounts = settings.accounts.model_copy(update={"attributes": (*listed, column)})
    return settings.model_copy(update={"accounts": accounts})


def account_texts(
    project: Project, accounts: Sequence[str] | None, column: str | None
) -> dict[str, str]:
    """Look up a column of the accounts table, mapped or not.

    Parameters
    ----------
    project : Project
        The configuration.
    accounts : sequence of str or None
        Of these accounts; None of all.
    column : str or None
        Its name; without one nothing is looked up.

    Raises
    ------
    DataError
        When the tables cannot be read or have no such column.
    """
    from features.tables.company import clean_tables
    from pipelines.project.company import open_project_source

    if column is None or (accounts is not None and not accounts):
        return {}
    settings = project.settings
    with open_project_source(project) as source:
        # Whether accounts need dates has been settled by whoever scored them.
        mapped = tables_with(settings.tables, column)
        tables = clean_tables(source, mapped, settings.reading, is_dated=False, names=["accounts"])
        table = tables["accounts"].cleaned
        if column not in table.columns:
            return {}
        rows = table.select("account_id", column)
        if accounts is not None:
            rows = rows.filter(rows.account_id.isin(list(accounts)))
        texts = rows.execute().dropna()
    return {str(account): str(text) for account, text in texts.itertuples(index=False)}


def lost_owners(project: Project, owners: Sequence[str]) -> list[str]:
    """Return those of some owners who look after no account.

    Raises
    ------
    DataError
        When the tables cannot be read.
    """
    from features.tables.company import clean_tables
    from pipelines.project.company import open_project_source

    settings, column = project.settings, project.settings.serve.owner
    if column is None or not owners:
        return []
    tables = tables_with(settings.tables, column)
    with open_project_source(project) as source:
        cleaned = clean_tables(source, tables, settings.reading, is_dated=False, names=["accounts"])
        table = cleaned["accounts"].cleaned
        named = table.select(owner=table[column].cast("string"))
        known = named.filter(named.owner.isin(list(owners))).distinct().to_pyarrow()
    return sorted(set(owners) - set(known.column("owner").to_pylist()))
