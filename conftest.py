"""What holds for every test: modules that are left out, and how often memory is swept."""

from __future__ import annotations

import gc
from importlib.util import find_spec

# Every other module must import: one that does not is an error, never a skip.
SPARK = ["features/sources/spark*.py", "features/sources/engines/spark*.py"]
collect_ignore_glob = [] if find_spec("pyspark") else SPARK
# Schedulers run these, in environments of their own.
collect_ignore_glob += ["tests/schedulers/*.py"]

# Planning queries makes millions of short-lived objects beside the many that libraries keep:
# looking for cycles among them as often as by default takes a quarter of the time.
gc.set_threshold(50_000, 20, 100)
