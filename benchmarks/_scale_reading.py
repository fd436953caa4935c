"""What reading, checking and panes of a table of events cost, beside one bare scan of it.

The scan is DuckDB's own, of the same files and columns: it counts each column and finds its least
and its greatest value, so that every value is read and looked at. All is processor time, the best
of three in turn in one process, planning and whatever else belongs to it included.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

COLUMNS = ("account_id", "occurred_at", "feature", "user_id", "quantity")
ROUNDS = 3


def measure(folder: Path, *, quick: bool) -> dict[str, float | None]:
    """Simulate a company, lay its events out by month and measure."""
    from _scale_night import lay_out

    from pipelines.setup.simulation.simulate import Simulation, simulate

    simulate(folder / "data", Simulation(accounts=1_000 if quick else 25_000))
    lay_out(folder)
    rounds = [_round(folder) for _ in range(ROUNDS)]
    scan, reading, panes = (min(each) for each in zip(*rounds, strict=True))
    return {
        "read_ratio_scan": reading / scan,
        "panes_ratio_scan": panes / scan,
        "scan_cpu_seconds": scan,
    }


def _round(folder: Path) -> tuple[float, float, float]:
    from features.build import feature_rows
    from features.builders.settings import SignalsSettings
    from features.catalog import GROUPS
    from features.outcomes.settings import OutcomeSettings
    from features.sources.opening import open_source
    from features.tables.company import Company, load_company
    from features.tables.mapping.mapping import TablesSettings

    # Who left is a small table, and one that says so must be there.
    names = ("accounts", "churn_events", "usage_events")
    tables = TablesSettings.model_validate({name: {} for name in names})
    signals = SignalsSettings(groups_off=tuple(set(GROUPS) - {"usage", "adoption"}))
    with open_source("data", folder) as source:
        looked = ", ".join(f"count({name}), min({name}), max({name})" for name in COLUMNS)
        files = f"{folder}/data/usage_events/*/*.parquet"
        bare = f"SELECT {looked} FROM read_parquet('{files}')"
        engine = source.engine.connection.con
        scan, _ = _timed(lambda: engine.execute(bare).fetchall())
        reading, company = _timed(lambda: load_company(source, tables))

        def panes() -> object:
            assert isinstance(company, Company)
            asked = ([company.data_end], OutcomeSettings(), signals)
            return feature_rows(company, *asked, labelled=False)

        return scan, reading, _timed(panes)[0]


def _timed(work: Callable[[], object]) -> tuple[float, object]:
    """Return the seconds of processor time, of all threads, and the result."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result
