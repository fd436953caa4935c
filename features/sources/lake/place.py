"""A folder of this machine or of a bucket: what it holds, and its files brought here."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from features.errors import DataError, SettingsError, first_line, sample
from features.sources.lake.parts import Part, ends_of, file_part

if TYPE_CHECKING:
    from pyarrow import fs

T = TypeVar("T")
SCHEMES = ("s3", "gs", "az")
ATTEMPTS = 16
"""A bucket that answers half of all requests is read: one in 65,000 then fails for good."""
GIVEN_UP = 60
"""Seconds after which Google's storage is asked no more."""
_CREDENTIALS = re.compile(
    r"credential|expired|access.?denied|forbidden|unauthori|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|InvalidToken|TokenRefresh|access token|HTTP response code 40[13]|403|401",
    re.I,
)
_PROVIDERS = {
    "s3": "AWS (environment, ~/.aws, or the machine's role)",
    "gs": "Google (GOOGLE_APPLICATION_CREDENTIALS, gcloud, or the machine's account)",
    "az": "Azure (environment, az login, or the machine's identity)",
}
_OPTIONS = {
    "s3": ("region", "endpoint"),
    "gs": ("endpoint",),
    "az": ("account",),
}


@dataclass(frozen=True)
class Listed:
    """A file of a place.

    Parameters
    ----------
    path : str
        From the place's folder on, with slashes.
    size : int
        Bytes.
    stamp : str
        When it was written.
    """

    path: str
    size: int
    stamp: str


class Folder:
    """A folder of this machine.

    Parameters
    ----------
    path : Path
        The folder.
    """

    options: Mapping[str, str] = MappingProxyType({})
    iceberg_options: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self.path = path

    def files(self) -> list[Listed]:
        """List every file below its folders; its own files are listed elsewhere."""
        listed = []
        # A workbook or an archive may stand for a folder, and has none in it.
        for top in sorted(self.path.iterdir()) if self.path.is_dir() else ():
            if top.is_dir() and not top.name.startswith((".", "_")):
                for file in sorted(top.rglob("*")):
                    if file.is_file():
                        listed.append(Listed(file.relative_to(self.path).as_posix(), 0, ""))
        return listed

    def part(self, file: Listed) -> Part:
        """Return a Parquet file as rows of a table."""
        return file_part(self.path / file.path)

    def bring(self, path: str) -> Path:
        """Return a file that a log names.

        Raises
        ------
        DataError
            When it is gone.
        """
        file = self.path / path
        if not file.is_file():
            raise DataError(
                f"The file '{file}' is named by its table's log and is gone, as after a vacuum;"
                " run again, or ask for a version that is still there"
            )
        return file

    def address(self, path: str) -> str:
        """Return what other readers call a path."""
        return str(self.path / path)


class Bucket:
    """A folder of a bucket, reached with the credentials that the provider's own chain finds.

    Parameters
    ----------
    scheme : {"s3", "gs", "az"}
        Whose bucket it is.
    folder : str
        Bucket and folder.
    query : mapping of str to str
        Where it is reached: ``region``, ``endpoint``, ``account``; no credentials.
    shown : str
        Its address, for messages.
    scratch : Path
        Where files are brought to.

    Raises
    ------
    SettingsError
        When the address holds credentials or what is not known.
    """

    def __init__(
        self, scheme: str, folder: str, query: Mapping[str, str], shown: str, scratch: Path
    ) -> None:
        self.scheme, self.folder = scheme, folder.strip("/")
        self.query, self.shown = query, shown
        self._scratch = scratch
        self._refuse_others()
        self._fs = self._opened()

    def _refuse_others(self) -> None:
        known = _OPTIONS[self.scheme]
        if "@" in self.folder:
            raise SettingsError(
                f"The source '{self.shown}' holds credentials, which come from"
                f" {_PROVIDERS[self.scheme]} alone; take them out of source.url"
            )
        others = [key for key in self.query if key not in known and "version." not in key]
        if others:
            raise SettingsError(
                f"The source '{self.shown}' has an option {sample(others[:1])}, and known are"
                f" {sample(known)} and version.TABLE; credentials come from"
                f" {_PROVIDERS[self.scheme]}"
            )

    def _opened(self) -> fs.FileSystem:
        from pyarrow import fs

        endpoint = self.query.get("endpoint", "")
        scheme, _, host = endpoint.rpartition("://")
        if self.scheme == "s3":
            given = {"region": self.query["region"]} if "region" in self.query else {}
            if endpoint:
                given |= {"endpoint_override": host, "scheme": scheme or "https"}
            return fs.S3FileSystem(
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS), **given
            )
        if self.scheme == "gs":
            given = {"endpoint_override": host, "scheme": scheme or "https"} if endpoint else {}
            # Its own limit is a quarter of an hour, of which nothing is heard.
            return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=GIVEN_UP), **given)
        if "account" not in self.query:
            raise SettingsError(
                f"The source '{self.shown}' must name its storage account, as in"
                " az://container/folder?account=NAME; correct source.url"
            )
        return fs.AzureFileSystem(account_name=self.query["account"])

    def files(self) -> list[Listed]:
        """List every file below the folder.

        Raises
        ------
        DataError
            When the bucket cannot be listed.
        """
        from pyarrow import fs

        found = self._asked(
            lambda: self._fs.get_file_info(fs.FileSelector(self.folder, recursive=True)), "listed"
        )
        start = len(self.folder) + 1
        return [
            Listed(info.path[start:], info.size, str(info.mtime_ns))
            for info in sorted(found, key=lambda info: info.path)
            if info.is_file
        ]

    def bring(self, path: str) -> Path:
        """Bring a file here, once, under the same path.

        Raises
        ------
        DataError
            When it is gone, or the bucket does not give it.
        """
        local = self._scratch / PurePosixPath(path)
        if local.exists():
            return local

        def copy() -> None:
            local.parent.mkdir(parents=True, exist_ok=True)
            part = local.with_name(local.name + ".part")
            with (
                self._fs.open_input_stream(f"{self.folder}/{path}") as remote,
                part.open("wb") as here,
            ):
                shutil.copyfileobj(remote, here, 1 << 22)
            part.replace(local)

        self._asked(copy, f"read: '{path}'")
        return local

    def part(self, file: Listed) -> Part:
        """Return a Parquet file as rows of a table.

        It is told from another in its place by what is brought: buckets stamp by the second.
        """
        local = self.bring(file.path)
        identity = f"{self.scheme}://{self.folder}/{file.path}|{file.stamp}|{ends_of(local)}"
        return Part(identity, lambda: local)

    def address(self, path: str) -> str:
        """Return what other readers call a path."""
        return f"{self.scheme}://{self.folder}/{path}"

    @property
    def options(self) -> Mapping[str, str]:
        """What the reader of Delta logs is told of the storage, beside the credentials."""
        options = {"max_retries": str(ATTEMPTS)}
        if "region" in self.query:
            options["AWS_REGION"] = self.query["region"]
        if "endpoint" in self.query:
            options |= {"AWS_ENDPOINT_URL": self.query["endpoint"], "AWS_ALLOW_HTTP": "true"}
        if "account" in self.query:
            options["AZURE_STORAGE_ACCOUNT_NAME"] = self.query["account"]
        return options

    @property
    def iceberg_options(self) -> Mapping[str, str]:
        """What the reader of Iceberg's metadata is told of the storage."""
        named = {"region": "s3.region", "endpoint": "s3.endpoint", "account": "adls.account-name"}
        return {named[key]: value for key, value in self.query.items() if key in named}

    def _asked(self, ask: Callable[[], T], what: str) -> T:
        import pyarrow as pa

        try:
            with _quiet() if self.scheme == "az" else nullcontext():
                return ask()
        except FileNotFoundError as error:
            raise DataError(
                f"The source '{self.shown}' cannot be {what}: it is not there, or was taken away"
                " while its table was read; correct source.url or run again"
            ) from error
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno == 28:
                raise DataError(
                    f"The source '{self.shown}' cannot be {what}: the disk of the folder for"
                    f" temporary files, '{self._scratch}', is full; make room and run again"
                ) from error
            if _CREDENTIALS.search(str(error)):
                raise DataError(
                    f"The source '{self.shown}' cannot be {what}: the credentials that"
                    f" {_PROVIDERS[self.scheme]} gave are missing, expired or not allowed to; sign"
                    " in anew and run again"
                ) from error
            raise DataError(
                f"The source '{self.shown}' cannot be {what}: {first_line(error)}; run again when"
                " the bucket answers"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the provider's chain says on standard error, as of a program that is not there."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
