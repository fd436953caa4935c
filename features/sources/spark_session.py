"""Spark itself: starting or joining a session, and what its errors say."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import DataError, SettingsError
from features.sources.engines.engine import Engine
from features.sources.url import SourceUrl

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def spark_engine(parsed: SourceUrl) -> Engine:
    """Start Spark, or join the session that runs in this process.

    Raises
    ------
    SettingsError
        When PySpark or Java is not installed.
    DataError
        When Spark does not start.
    """
    try:
        with quiet_about_pandas():
            import pyspark
            from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingsError(
            f"The source '{parsed.shown}' needs PySpark, which is not installed;"
            " run: pip install 'healthscore[spark]'"
        ) from error
    # The bridge to Java reports a lost process to the root logger, beside raising an error.
    logging.getLogger().addFilter(_is_not_of_the_bridge)
    running = SparkSession.getActiveSession()
    if running is None and shutil.which("java") is None and not _java_home():
        raise SettingsError(
            f"The source '{parsed.shown}' needs Java 17 or newer for Spark {pyspark.__version__},"
            " and neither JAVA_HOME nor the path leads to it; install it, as in:"
            " apt-get install default-jre-headless"
        )
    builder: Any = SparkSession.builder.appName("healthscore")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    if "folder" in parsed.query and running is None:
        # Else Spark would make a folder for tables of its own wherever the command was started.
        settings["spark.sql.warehouse.dir"] = tempfile.mkdtemp(prefix="healthscore-spark-")
    settings |= {key: value for key, value in parsed.query.items() if key.startswith("spark.")}
    if "master" in parsed.query:
        builder = builder.master(parsed.query["master"])
    if parsed.query.get("master", "local").startswith("local"):
        # Workers on this machine run in the environment of this program, not in the system's.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        with quiet_about_pandas():
            session = running or builder.config(map=settings).getOrCreate()
        if running is None:
            # Starting takes ten seconds: Spark stays for the next command of this process.
            atexit.register(_stop, session, settings.get("spark.sql.warehouse.dir"))
        return engine_of_session(session, parsed)
    except spark_errors() as error:
        raise DataError(
            f"Spark does not start for '{parsed.shown}': {parsed.scrub(_reason(error))};"
            " correct master and the settings in source.url"
        ) from error


def spark_errors() -> tuple[type[Exception], ...]:
    """Return what PySpark and its bridge to Java raise, a lost Java process among them."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (PySparkException, Py4JError, ConnectionError)


@contextlib.contextmanager
def quiet_about_pandas() -> Iterator[None]:
    """Hide that PySpark warns of pandas 3, which it uses only for functions written in Python."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support", FutureWarning)
        yield


def engine_of_session(session: SparkSession, parsed: SourceUrl | None = None) -> Engine:
    """Return the engine of a running session; settings and views stay apart from its own."""
    with quiet_about_pandas():
        from features.sources.engines.spark import SparkBackend

    own = session.newSession()
    own.conf.set("spark.sql.caseSensitive", "true")
    own.conf.set("spark.sql.ansi.enabled", "true")
    connection = SparkBackend()
    connection.do_connect(own)

    def close() -> None:
        # Nothing is left to be dropped where the Spark context is gone.
        with contextlib.suppress(*spark_errors()):
            for view in own.catalog.listTables():
                if view.isTemporary:
                    own.catalog.dropTempView(view.name)

    def explain(error: Exception) -> str:
        return _reason(error) if parsed is None else parsed.scrub(_reason(error))

    return Engine("Spark", connection, spark_errors(), close, explain)


def _stop(session: SparkSession, warehouse: str | None) -> None:
    with contextlib.suppress(*spark_errors()):
        session.stop()
    if warehouse is not None:
        # Only if it is empty: it may be one that the configuration names.
        with contextlib.suppress(OSError):
            Path(warehouse).rmdir()


def _reason(error: Exception) -> str:
    """Return the first line that says something; the bridge to Java puts its own before it."""
    from py4j.protocol import Py4JNetworkError

    if isinstance(error, Py4JNetworkError | ConnectionError) or "in the JVM" in str(error):
        return "the Java process of Spark has ended"
    lines = [line.lstrip(": ") for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("An error occurred while")]
    return lines[0].rstrip(".")[:200] if lines else type(error).__name__


def _is_not_of_the_bridge(record: logging.LogRecord) -> bool:
    return "py4j" not in record.pathname


def _java_home() -> bool:
    return (Path(os.environ.get("JAVA_HOME", "")) / "bin" / "java").is_file()
