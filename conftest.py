"""What holds for every test: modules that are left out, and how often memory is swept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec

import pytest

# Every other module must import: one that does not is an error, never a skip.
SPARK = ["features/sources/spark*.py", "features/sources/engines/spark*.py"]
collect_ignore_glob = [] if find_spec("pyspark") else SPARK
# Schedulers run these, in environments of their own.
collect_ignore_glob += ["tests/schedulers/*.py"]

# Planning queries makes millions of short-lived objects beside the many that libraries keep:
# looking for cycles among them as often as by default takes a quarter of the time.
gc.set_threshold(50_000, 20, 100)


# Data of tests are of some date, and are no older when the tests are run later.
LONG_AGO = date(2000, 1, 1)


@pytest.fixture(scope="session", autouse=True)
def _no_day_passes() -> Iterator[None]:
    """Let the calendar stand before every company's data; a test sets it on for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.reports.freshness.today", lambda: LONG_AGO)
        yield
