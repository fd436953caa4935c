"""Who looks after an account today, where the tables say."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.project.project import Project


def owners_of(project: Project, accounts: Sequence[str]) -> dict[str, str]:
    """Look up the owners of some accounts; empty where ``[serve] owner`` names no column.

    Raises
    ------
    DataError
        When the tables cannot be read.
    """
    from features.tables.company import clean_tables
    from pipelines.project.company import open_project_source

    settings = project.settings
    column = settings.serve.owner
    if column is None or not accounts:
        return {}
    with open_project_source(project) as source:
        tables = clean_tables(
            source, settings.tables, settings.reading, is_dated=False, names=["accounts"]
        )
        table = tables["accounts"].cleaned
        if column not in table.columns:
            return {}
        rows = table.filter(table.account_id.isin(list(accounts))).select("account_id", column)
        named = rows.execute().dropna()
    return {str(account): str(owner) for account, owner in named.itertuples(index=False)}
