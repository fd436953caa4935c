"""A TOML file of entries by name, read again when it changes and written whole under a lock."""

from __future__ import annotations

import fcntl
import os
import time
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from features.errors import SettingsError, first_line, sample
from pipelines.reports.terminal.whole_file import replaced_whole

Entry = TypeVar("Entry")
PRIVATE = 0o600
SETTLED_SECONDS = 1.0


class EntriesFile(ABC, Generic[Entry]):
    """A file of entries under one heading.

    Parameters
    ----------
    path : Path
        The file.
    clock : callable
        The time of day in seconds, as files have it.

    Attributes
    ----------
    SECTION : str
        The heading, such as "users".
    COMMENT, NEXT_STEP : str
        The first line of the file, and what to do where there is none.
    """

    SECTION: ClassVar[str]
    COMMENT: ClassVar[str]
    NEXT_STEP: ClassVar[str]

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._read: tuple[tuple[int, int, int], dict[str, Entry]] | None = None

    @abstractmethod
    def _entry(self, name: str, raw: Any) -> Entry:
        """Read an entry, or refuse it with :meth:`_broken`."""

    @abstractmethod
    def _written(self, entry: Entry) -> dict[str, Any]:
        """Return what the file holds of an entry."""

    def _checked(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """Refuse entries that cannot stand beside each other."""
        return entries

    def entries(self) -> Mapping[str, Entry]:
        """Return the entries by name.

        Raises
        ------
        SettingsError
            When the file is gone or cannot be read as one of its kind.
        """
        try:
            status = os.stat(self.path)
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._read is None or (self._read[0] != mark and not self._is_being_written(status)):
                self._read = mark, self._parse(self.path.read_bytes())
        except OSError as error:
            raise SettingsError(
                f"The {self.SECTION} file '{self.path}' cannot be read: {error.strerror};"
                f" {self.NEXT_STEP}"
            ) from error
        return self._read[1]

    @contextmanager
    def changing(self) -> Iterator[dict[str, Entry]]:
        """Give the entries to change in place, and write them, while nobody else changes them.

        A file that is not there yet has none. When the block fails nothing is written.

        Raises
        ------
        SettingsError
            When the file cannot be read or written.
        """
        with self._locked():
            # What is in it now, whoever wrote it last.
            entries = dict(type(self)(self.path).entries()) if self.path.exists() else {}
            before = dict(entries)
            yield entries
            if entries != before:
                self.write(entries)

    def _is_being_written(self, status: os.stat_result) -> bool:
        """Tell whether somebody may be writing into the file, as an editor does.

        Half of an entry may limit nobody. Commands put another file in its place.
        """
        is_same = self._read is not None and self._read[0][2] == status.st_ino
        return is_same and 0 <= self.clock() - status.st_mtime < SETTLED_SECONDS

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Beside the file, which is replaced whole: a lock on it would be on the one before.
        beside = self.path.with_name(f".{self.path.name}.lock")
        try:
            held = os.open(beside, os.O_RDWR | os.O_CREAT, PRIVATE)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Put these entries in the file's place, whole, for the eyes of its owner alone.

        Raises
        ------
        SettingsError
            When it cannot be written.
        """
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment(self.COMMENT))
        held = tomlkit.table(is_super_table=True)
        for name in sorted(entries):
            held.add(name, self._written(entries[name]))
        document.add(self.SECTION, held)
        try:
            with replaced_whole(self.path) as fresh:
                made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
                with os.fdopen(made, "wb") as opened:
                    opened.write(tomlkit.dumps(document).encode())
                if self.path.exists():
                    os.chmod(self.path, PRIVATE)
        except OSError as error:
            raise self._unwritable(error) from error

    def _parse(self, raw: bytes) -> dict[str, Entry]:
        try:
            document = tomllib.loads(raw.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise self._broken(f"is not valid TOML: {first_line(error)}") from error
        held = document.get(self.SECTION, {})
        if document.keys() - {self.SECTION} or not isinstance(held, dict):
            raise self._broken(
                f"holds {sample(document)}, and must hold [{self.SECTION}.NAME] alone"
            )
        return self._checked({name: self._entry(name, entry) for name, entry in held.items()})

    def _unwritable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"The {self.SECTION} file '{self.path}' cannot be written: {error.strerror}; make its"
            " folder or correct its permissions"
        )

    def _broken(self, why: str) -> SettingsError:
        return SettingsError(
            f"The {self.SECTION} file '{self.path}' {why}; mend or remove the entry"
        )
