"""The source tables, asked for an account or a person; they are not the program's to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from features.errors import DataError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from pipelines.project.erase.subject import Subject
    from pipelines.project.project import Project

PEOPLE = {"ratings": ("rater",)}


def source_rows(project: Project, subject: Subject) -> tuple[dict[str, int], list[str], list[str]]:
    """Count the rows that name a subject.

    Returns
    -------
    rows : dict of str to int
        By table and, for persons, column; those without are left out.
    words : list of str
        What else the tables call it.
    notes : list of str
        What could not be read.
    """
    rows: dict[str, int] = {}
    words: list[str] = []
    try:
        with _tables(project) as tables:
            for name, table in tables.items():
                for column in _columns(project, name, table, subject):
                    theirs = table.filter(table[column].cast("string").isin(list(subject.words)))
                    count = int(theirs.count().execute())
                    if count:
                        key = name if subject.kind == "account" else f"{name}.{column}"
                        rows[key] = count
                    if name == "accounts" and subject.kind == "account" and count:
                        words += _names(theirs)
    except DataError as error:
        return {}, [], [f"What the tables hold could not be read: {error}"]
    return rows, words, []


def source_texts(project: Project, subject: Subject) -> dict[str, list[dict[str, object]]]:
    """Read the rows of an account, by table."""
    held: dict[str, list[dict[str, object]]] = {}
    with _tables(project) as tables:
        for name, table in tables.items():
            if "account_id" not in table.columns:
                continue
            rows = table.filter(table.account_id.cast("string") == subject.name).to_pyarrow()
            if rows.num_rows:
                held[name] = rows.to_pylist()
    return held


@contextmanager
def _tables(project: Project) -> Iterator[dict[str, ir.Table]]:
    from features.tables.company import clean_tables, labels_are_dated
    from pipelines.project.company import open_project_source

    settings, owner = project.settings.tables, project.settings.serve.owner
    if owner is not None and owner not in settings.accounts.attributes:
        attributes = (*settings.accounts.attributes, owner)
        accounts = settings.accounts.model_copy(update={"attributes": attributes})
        settings = settings.model_copy(update={"accounts": accounts})
    with open_project_source(project) as source:
        is_dated = labels_are_dated(source, settings)
        tables = clean_tables(source, settings, project.settings.reading, is_dated=is_dated)
        yield {name: table.cleaned for name, table in tables.items()}


def _columns(project: Project, name: str, table: ir.Table, subject: Subject) -> list[str]:
    if subject.kind == "account":
        asked: tuple[str, ...] = ("account_id",)
    else:
        owner = project.settings.serve.owner
        asked = (owner,) if name == "accounts" and owner is not None else PEOPLE.get(name, ())
    return [column for column in asked if column in table.columns]


def _names(accounts: ir.Table) -> list[str]:
    if "name" not in accounts.columns:
        return []
    names = accounts.select("name").to_pyarrow().column("name").to_pylist()
    return [str(name) for name in names if name]
