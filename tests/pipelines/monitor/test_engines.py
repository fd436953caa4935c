"""``healthscore monitor`` on PostgreSQL: the same figures as on files."""

from __future__ import annotations

import json
from datetime import date

import duckdb
import pytest

from pipelines.monitor.findings import Findings, measure_findings
from pipelines.monitor.rows import current_rows
from pipelines.project.project import load_project
from tests.features.servers import running_postgres, write_postgres
from tests.pipelines.changing import LAST, write_company

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("postgres")]
DAY = date(2025, 6, 1)


def found_by(config) -> Findings:

    project = load_project(config)
    champion = project.registry.champion()
    model, version = champion.model, champion.version
    from models.registry.versions import load_reference

    kept = load_reference(project.registry_folder, "healthscore", version)
    with current_rows(project, model, DAY, None) as rows:
        return measure_findings(project, model, version, kept, rows)


def test_postgres_counts_as_files_do(run, tmp_path) -> None:
    write_company(tmp_path, accounts=250)
    config = tmp_path / "healthscore.toml"
    run("train", "-c", config, "--json").answer  # noqa: B018
    text = config.read_text(encoding="utf-8").replace("2024-10-01", f"{LAST}")
    config.write_text(text, encoding="utf-8")
    on_files = found_by(config)
    with running_postgres() as server:
        with server.connect() as admin:
            for file in sorted((tmp_path / "data").glob("*.csv")):
                table = duckdb.sql(f"select * from read_csv('{file}')").to_arrow_table()
                write_postgres(admin, f'"{file.stem}"', table)
        url = json.dumps(server.url())
        config.write_text(text.replace('url = "data"', f"url = {url}"), encoding="utf-8")
        on_server = found_by(config)
    for name, table in on_files.current.tables.items():
        assert on_server.current.tables[name].tolist() == table.tolist(), name
    assert on_server.current.mix.tolist() == on_files.current.mix.tolist()
    assert on_server.feeds == on_files.feeds
    assert on_server.faults == on_files.faults == ()
    # Outcomes, which are read from ends of subscriptions here, are the same too.
    assert on_server.matured
    for one, other in zip(on_server.matured, on_files.matured, strict=True):
        assert (one.segment, one.rows, one.positives) == (
            other.segment,
            other.rows,
            other.positives,
        )
        assert one.expected_rate == pytest.approx(other.expected_rate)
    assert on_server.expected.now.log_loss == pytest.approx(on_files.expected.now.log_loss)
