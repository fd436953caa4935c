"""What pytest leaves out where an engine's driver is not installed."""

from __future__ import annotations

from importlib.util import find_spec

# Every other module must import: one that does not is an error, never a skip.
collect_ignore_glob = [] if find_spec("pyspark") else ["features/spark_*.py"]
