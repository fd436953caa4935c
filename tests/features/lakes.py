"""Lakes for the tests: Delta, Iceberg and partitioned tables, a bucket and a MariaDB server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def write_delta(folder: Path, table: pa.Table, mode: str = "overwrite") -> None:
    """Write or extend a Delta table."""
    from deltalake import write_deltalake

    write_deltalake(folder, table, mode=mode, schema_mode="merge" if mode == "append" else None)


def write_iceberg(folder: Path, table: pa.Table) -> Any:
    """Write a table in the catalogue of a folder, and return it."""
    from pyiceberg.catalog.sql import SqlCatalog

    folder.parent.mkdir(parents=True, exist_ok=True)
    catalogue = SqlCatalog(
        "tests",
        uri=f"sqlite:///{folder.parent}/_catalogue.db",
        warehouse=f"file://{folder.parent}",
    )
    catalogue.create_namespace_if_not_exists("crm")
    made = catalogue.create_table(f"crm.{folder.name}", table.schema, location=f"file://{folder}")
    made.append(table)
    return made


def write_parts(folder: Path, table: pa.Table, parts: int) -> None:
    """Write a table as several files that differ in numbers alone."""
    folder.mkdir(parents=True)
    size = -(-len(table) // parts)
    for number in range(parts):
        pq.write_table(table.slice(number * size, size), folder / f"part-{number}.parquet")


@dataclass
class Bucket:
    """A bucket of one folder, served as S3 serves it: listing and reading alone."""

    folder: Path
    port: int = 0
    refused: str = ""
    """The code every request is refused with, as "ExpiredToken"."""
    every: int = 0
    """Every so many requests are answered with 503."""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"s3://crm/lake?region=eu-west-1&endpoint=http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        bucket, parts = self.bucket, urlsplit(self.path)
        bucket.asked.append(f"{self.command} {self.path}")
        if bucket.refused:
            self._fail(403, bucket.refused)
        elif bucket.every and len(bucket.asked) % bucket.every:
            self._fail(503, "SlowDown")
        elif "list-type" in parts.query:
            self._list({key: values[0] for key, values in parse_qs(parts.query).items()})
        else:
            self._file(bucket.folder / unquote(parts.path).removeprefix("/crm/"))

    def _fail(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
        self._send(status, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _list(self, query: dict[str, str]) -> None:
        prefix = query.get("prefix", "")
        found = [file for file in sorted(self.bucket.folder.rglob("*")) if file.is_file()]
        keys = {file.relative_to(self.bucket.folder).as_posix(): file for file in found}
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{file.stat().st_size}</Size>"
            "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
            for key, file in keys.items()
            if key.startswith(prefix)
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _file(self, file: Path) -> None:
        if not file.is_file():
            self._fail(404, "NoSuchKey")
            return
        body = file.read_bytes()
        size, status = len(body), 200
        headers = {"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT", "ETag": '"1"'}
        if asked := self.headers.get("Range"):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first = int(start) if start else size - int(end)
            last = min(int(end), size - 1) if start and end else size - 1
            body, status = body[first : last + 1], 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if self.command == "HEAD":
            headers["Content-Length"] = str(size)
        self._send(status, body, headers)


@contextmanager
def serving_bucket(folder: Path) -> Iterator[Bucket]:
    """Serve a folder as a bucket named ``crm``."""
    bucket = Bucket(folder)
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    bucket.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class MariaServer:
    """A running MariaDB server with a user whose password is hostile."""

    socket: Path

    PASSWORD = "p@ss:w/rd% 'q\" \\ pässwörd"

    def connect(self, **options: Any) -> Any:
        import pymysql

        given = {"unix_socket": str(self.socket), "user": "root", "autocommit": True}
        return pymysql.connect(charset="utf8mb4", **given | options)

    def url(self, database: str) -> str:
        return f"mysql://reader:${{MARIA_PASSWORD}}@/{database}?socket={self.socket}"


@contextmanager
def running_mariadb() -> Iterator[MariaServer]:
    """Start a server of its own and take it away afterwards."""
    pytest.importorskip("pymysql", reason="the mysql extra is not installed")
    program = shutil.which("mariadbd") or shutil.which("mysqld")
    installer = shutil.which("mariadb-install-db")
    if program is None or installer is None:
        pytest.skip("no MariaDB server is installed")
    folder = Path(tempfile.mkdtemp(prefix="hs-my-", dir="/tmp"))
    data, socket = folder / "data", folder / "s"
    quiet: dict[str, Any] = dict.fromkeys(("stdout", "stderr", "stdin"), subprocess.DEVNULL)
    own = ["--no-defaults", f"--datadir={data}", *(["--user=root"] if os.getuid() == 0 else [])]
    server = None
    try:
        subprocess.run(
            [installer, *own, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            **quiet,
        )
        options = [f"--socket={socket}", "--skip-networking", f"--pid-file={folder}/pid"]
        options += ["--innodb-flush-log-at-trx-commit=0", "--default-time-zone=-05:00"]
        server = subprocess.Popen([program, *own, *options], **quiet)
        maria = MariaServer(socket)
        with _once_up(maria, server) as admin, admin.cursor() as cursor:
            cursor.execute("CREATE USER reader@localhost IDENTIFIED BY %s", (maria.PASSWORD,))
            cursor.execute("GRANT SELECT ON *.* TO reader@localhost")
        yield maria
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _once_up(maria: MariaServer, server: subprocess.Popen[bytes]) -> Any:
    until, waiting = time.monotonic() + 60, threading.Event()
    while not maria.socket.exists():
        assert server.poll() is None, "the MariaDB server ended"
        assert time.monotonic() < until, "the MariaDB server does not come up"
        waiting.wait(0.05)
    return maria.connect()


def write_mysql(connection: Any, name: str, table: pa.Table) -> None:
    """Create a table and fill it."""
    columns = ", ".join(
        "`" + field.name.replace("`", "``") + f"` {_mysql_type(field.type)}"
        for field in table.schema
    )
    marks = ", ".join(["%s"] * len(table.schema))
    rows = [list(row.values()) for row in table.to_pylist()]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} ({columns}) CHARACTER SET utf8mb4")
        cursor.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)


def _mysql_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "datetime(6)"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    named = {"bool": "boolean", "int64": "bigint", "double": "double", "date32[day]": "date"}
    return named.get(str(kind), "longtext")
