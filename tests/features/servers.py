"""Real servers for the tests: PostgreSQL in a temporary directory, Spark with two executors."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pytest

# Many short queries over few rows: compiling for long takes longer than running them, and so does
# proving anew that the classes of Spark, which are loaded for each of its processes, are sound.
JAVA = (
    "-XX:+UnlockDiagnosticVMOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    " -XX:-BytecodeVerificationRemote"
)
SPARK_SETTINGS = {
    "spark.master": "local-cluster[2,1,1024]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": JAVA,
    "spark.executor.extraJavaOptions": JAVA,
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.session.timeZone": "America/New_York",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running server with a superuser ``postgres`` whose password is hostile."""

    folder: Path
    socket: Path
    port: int
    programs: Path
    user: str | None

    PASSWORD = "p@ss:w/rd% 'quoted\" \\ ${HOME} pässwörd"

    def connect(self, **options: Any) -> Any:
        import psycopg

        given = {"host": str(self.socket), "port": self.port, "user": "postgres"}
        given |= {"password": self.PASSWORD, "dbname": "postgres", "autocommit": True}
        return psycopg.connect("", **given | options)

    def url(self, **query: str) -> str:
        """Return an address with the password in it, as a person would write it."""
        options = {"host": str(self.socket), "port": str(self.port)} | query
        listed = "&".join(f"{key}={quote(value, safe='/')}" for key, value in options.items())
        return f"postgresql://postgres:{quote(self.PASSWORD, safe='')}@/postgres?{listed}"

    def run(self, program: str, *arguments: str, check: bool = True) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            cwd=self.folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=check,
        )

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.socket} -p {self.port}"
        options += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        options += " -c timezone=America/New_York -c lc_messages=C"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        data = str(self.folder / "data")
        self.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop", check=False)


def postgres_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, where a server is installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    on_path = shutil.which("initdb")
    return Path(found[-1] if found else on_path).resolve().parent if found or on_path else None


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server of its own and take it away afterwards."""
    pytest.importorskip("psycopg", reason="the postgres extra is not installed")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    user = None
    if os.getuid() == 0:
        # The server refuses to run as root.
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
    # A socket's path may be no longer than about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="hs-pg-", dir="/tmp"))
    server = PostgresServer(folder, folder / "socket", 5432, programs, user)
    try:
        server.socket.mkdir()
        (folder / "password").write_text(server.PASSWORD + "\n", encoding="utf-8")
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
        server.run(
            *("initdb", "-D", str(folder / "data"), "-U", "postgres", "-N", "-E", "UTF8"),
            *("--locale", "C.UTF-8", "-A", "scram-sha-256", "--pwfile", str(folder / "password")),
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_spark() -> Iterator[Any]:
    """Start a Spark session with executors in processes of their own."""
    pyspark = pytest.importorskip("pyspark", reason="the spark extra is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("no Java is installed")
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    warehouse = tempfile.mkdtemp(prefix="hs-spark-")
    settings = SPARK_SETTINGS | {
        "spark.sql.warehouse.dir": warehouse,
        "spark.local.dir": warehouse,
    }
    session = SparkSession.builder.config(map=settings).getOrCreate()
    # Executors of a local cluster work inside the package, wherever it lies.
    work = Path(pyspark.__file__).parent / "work" / session.sparkContext.applicationId
    try:
        yield session
    finally:
        session.stop()
        for folder in (warehouse, work):
            shutil.rmtree(folder, ignore_errors=True)


def as_arrow(rows: Any) -> pa.Table:
    """Return a table as Arrow."""
    if isinstance(rows, pd.DataFrame):
        with warnings.catch_warnings():
            # Of pandas, about how pyarrow reads times with a zone.
            warnings.simplefilter("ignore", DeprecationWarning)
            return pa.Table.from_pandas(rows, preserve_index=False)
    return rows


def write_postgres(connection: Any, name: str, table: pa.Table) -> None:
    """Create a table and fill it."""
    types = [_postgres_type(field.type) for field in table.schema]
    columns = ", ".join(
        '"' + field.name.replace('"', '""') + f'" {kind}'
        for field, kind in zip(table.schema, types, strict=True)
    )
    connection.execute(f"CREATE TABLE {name} ({columns})")
    with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
        for row in table.to_pylist():
            copy.write_row(list(row.values()))


def _postgres_type(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_list(kind):
        return _postgres_type(kind.value_type) + "[]"
    if types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if isinstance(kind, pa.UuidType):
        return "uuid"
    if isinstance(kind, pa.JsonType):
        return "jsonb"
    named = {
        "bool": "boolean",
        "int8": "smallint",
        "int16": "smallint",
        "int32": "integer",
        "int64": "bigint",
        "float": "real",
        "double": "double precision",
        "date32[day]": "date",
    }
    return named.get(str(kind), "text")
