"""Commands on a MySQL server whose rows are kept: what a night says, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.features.lakes import MariaServer, running_mariadb, write_mysql

pytestmark = [pytest.mark.mysql, pytest.mark.xdist_group("mysql")]


@pytest.fixture(scope="module")
def server(simulated: Path) -> Iterator[MariaServer]:
    """A server that holds a few tables of the simulated company."""
    with running_mariadb() as server, server.connect() as admin:
        with admin.cursor() as cursor:
            cursor.execute("CREATE DATABASE crm")
        for name in ("accounts", "subscriptions", "usage_events"):
            table = pq.read_table(simulated / f"{name}.parquet")
            write_mysql(admin, f"crm.{name}", table.slice(0, 9_000))
        yield server


def test_a_night_says_what_it_brought(
    server: MariaServer, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARIA_PASSWORD", server.PASSWORD)
    config = tmp_path / "healthscore.toml"
    config.write_text(
        f"[source]\nurl = {json.dumps(server.url('crm'))}\n"
        "[tables.accounts]\n[tables.subscriptions]\n"
        '[tables.usage_events]\nwatermark = "occurred_at"\n'
    )
    first = run("check", "-c", config, "--json").answer
    again = run("check", "-c", config, "--json").answer
    told = "usage_events: 9,000 of 9,000 rows as before, 0 brought from the server"
    assert told not in first["read"]
    assert told in again["read"]
    assert again["read"][1].endswith(" files as before, 0 read anew")
    assert first["tables"] == again["tables"]
    whole = run("check", "-c", config, "--full", "--json").answer
    assert "usage_events: all 9,000 rows brought from the server" in whole["read"]
    assert whole["tables"] == first["tables"]
    assert not list(tmp_path.glob("**/*.part"))
