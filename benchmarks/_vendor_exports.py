"""A simulated company, turned back into the exports of the tools that companies run.

The queries lie in ``vendor_exports.toml``; names of columns and keys are those of the tools' public
schemas.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import duckdb

EUR = 0.92
QUERIES: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent / "vendor_exports.toml").read_text("utf-8")
)
LAYOUTS: dict[str, dict[str, str]] = QUERIES["layouts"]
# Tools that know no outcome lie beside the company's own accounts and contracts.
NEEDS_OWN = (
    "zendesk-fivetran", "freshdesk", "intercom-fivetran", "jira-fivetran", "segment", "posthog",
    "amplitude-fivetran", "mixpanel", "pendo-fivetran", "delighted",
)  # fmt: skip
COMBINED = ("stripe-fivetran", "zendesk-fivetran", "segment", "hubspot-fivetran", "delighted")


def open_truth(folder: Path) -> duckdb.DuckDBPyConnection:
    """Open a simulated company with what all exports are made from."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for file in sorted(folder.glob("*.parquet")):
        connection.execute(f"create table t_{file.stem} as select * from '{file}'")
    connection.execute(QUERIES["prepare"])
    return connection


def export(connection: duckdb.DuckDBPyConnection, layout: str, folder: Path) -> Path:
    """Write the tables of a layout, with the company's own where the tool knows no outcome."""
    tables = LAYOUTS[layout] | (QUERIES["own"] if layout in NEEDS_OWN else {})
    return _write(connection, tables, folder)


def export_combined(connection: duckdb.DuckDBPyConnection, folder: Path) -> Path:
    """Write several tools' tables into one folder, each with its tool before its name."""
    tables = {
        f"{layout.partition('-')[0]}_{name}": query
        for layout in COMBINED
        for name, query in LAYOUTS[layout].items()
    }
    return _write(connection, tables, folder)


def _write(connection: duckdb.DuckDBPyConnection, tables: dict[str, str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, query in tables.items():
        connection.execute(f"copy ({query}) to '{folder / name}.parquet'")
    return folder
