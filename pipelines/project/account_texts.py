"""What the accounts table says of some accounts today, such as their name or their owner."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.project.project import Project


def account_texts(project: Project, accounts: Sequence[str], column: str | None) -> dict[str, str]:
    """Look up a column of the accounts table; empty where there is none of that name.

    Raises
    ------
    DataError
        When the tables cannot be read.
    """
    from features.tables.company import clean_tables
    from pipelines.project.company import open_project_source

    if column is None or not accounts:
        return {}
    settings = project.settings
    with open_project_source(project) as source:
        # Whether accounts need dates has been settled by whoever scored them.
        tables = clean_tables(
            source, settings.tables, settings.reading, is_dated=False, names=["accounts"]
        )
        table = tables["accounts"].cleaned
        if column not in table.columns:
            return {}
        rows = table.filter(table.account_id.isin(list(accounts))).select("account_id", column)
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
    listed = settings.tables.accounts.attributes
    accounts = settings.tables.accounts.model_copy(update={"attributes": (*listed, column)})
    tables = settings.tables.model_copy(update={"accounts": accounts})
    with open_project_source(project) as source:
        cleaned = clean_tables(source, tables, settings.reading, is_dated=False, names=["accounts"])
        table = cleaned["accounts"].cleaned
        named = table.select(owner=table[column].cast("string"))
        known = named.filter(named.owner.isin(list(owners))).distinct().to_pyarrow()
    return sorted(set(owners) - set(known.column("owner").to_pylist()))
