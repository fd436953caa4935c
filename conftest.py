"""What holds for every test: what is left out, who runs what, how often memory is swept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pytest

# Every other module must import: one that does not is an error, never a skip.
SPARK = ["features/sources/spark*.py", "features/sources/engines/spark*.py"]
collect_ignore_glob = [] if find_spec("pyspark") else SPARK
# Schedulers run these, in environments of their own.
collect_ignore_glob += ["tests/schedulers/*.py"]

# Planning queries makes millions of short-lived objects beside the many that libraries keep:
# looking for cycles among them as often as by default takes a quarter of the time.
gc.set_threshold(50_000, 20, 100)

# Tests that were measured to take more than a moment; tests/lasting.py writes the list.
LASTING = Path(__file__).parent / "tests" / "lasting.txt"
TAKES_LONG = ("slow", "manual", "spark", "postgres", "mysql", "browser")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lasts, and keep a file's tests on one worker: what they share is made once.

    Workers are handed groups in this order: what takes long comes first, so that both end together.
    """
    lasting = set(LASTING.read_text("utf-8").split())
    for item in items:
        # A folder that is filled once holds a company that was simulated, most often taught too.
        if "once" in getattr(item, "fixturenames", ()) or item.nodeid.split("[")[0] in lasting:
            item.add_marker("lasting")
    if not config.getoption("loadgroup", default=False):
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        name = mark.args[0] if mark else item.path.relative_to(config.rootpath).as_posix()
        if mark is None:
            item.add_marker(pytest.mark.xdist_group(name))
        groups.setdefault(name, []).append(item)

    def is_short(group: list[pytest.Item]) -> bool:
        return not any(item.get_closest_marker(name) for item in group for name in TAKES_LONG)

    items[:] = [item for group in sorted(groups.values(), key=is_short) for item in group]


# Data of tests are of some date, and are no older when the tests are run later.
LONG_AGO = date(2000, 1, 1)


@pytest.fixture(scope="session", autouse=True)
def _no_day_passes() -> Iterator[None]:
    """Let the calendar stand before every company's data; a test sets it on for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.reports.freshness.today", lambda: LONG_AGO)
        yield
