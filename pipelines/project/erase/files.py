"""Files without an account or a person: caches, tables beside models, pages, and what is left."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.project.erase.subject import LEAST
from pipelines.reports.terminal.whole_file import replaced_whole

if TYPE_CHECKING:
    from pipelines.project.erase.subject import Subject
    from pipelines.project.project import Project

PAGES = ("portfolio", "forecast", "pack", "trend", "drift", "weights")
WITHOUT_ACCOUNTS = ("drift", "weights", "trend")
PAGE_SUFFIXES = (".html", ".pdf", ".xlsx")
CLOSED = (".pdf", ".duckdb", ".db-wal", ".gz", ".zst")
BLOCK = 1 << 22
TEXTS = (".html", ".csv", ".txt", ".json", ".md", ".xlsx")
"""Files in which a word that everybody uses is looked for, where it is all that a field says."""
NAMING = ("account_id", "name")
PASSED_OVER = {".venv", "node_modules", "__pycache__"}


def forget_caches(project: Project, *, do: bool) -> int:
    """Count, and where asked for remove, what nights remember of the tables' files.

    Nights of former stores too, which nobody reads any more.
    """
    folders = {project.settings.store.kept_folder(project.folder), *project.folder.glob("*.panes")}
    count = 0
    for folder in folders:
        held = sum(path.is_file() for path in folder.rglob("*")) if folder.is_dir() else 0
        if do and held:
            shutil.rmtree(folder)
        count += held
    return count


def erase_beside_models(project: Project, subject: Subject, *, do: bool) -> int:
    """Count the tables and configurations kept with models that name a subject; change them."""
    folder, count = project.registry_folder, 0
    if subject.kind == "account":
        for file in sorted(folder.rglob("*.parquet")):
            table = _renamed(file, subject)
            if table is not None:
                count += 1
                if do:
                    with replaced_whole(file) as fresh:
                        pq.write_table(table, fresh)
    for file in sorted(folder.rglob("*.toml")):
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        changed = subject.config_without(text)
        if changed != text:
            count += 1
            if do:
                with replaced_whole(file) as fresh:
                    fresh.write_text(changed, encoding="utf-8", errors="surrogateescape")
    return count


def _renamed(file: Path, subject: Subject) -> pa.Table | None:
    """Return a table with another name in the account's place; None where it does not hold it."""
    try:
        if "account_id" not in pq.read_schema(file).names:
            return None
        table = pq.read_table(file)
    except (OSError, pa.ArrowException):
        return None
    place, accounts = table.schema.get_field_index("account_id"), table["account_id"]
    if not pa.types.is_string(accounts.type) and not pa.types.is_large_string(accounts.type):
        return None
    is_it = pc.equal(accounts, subject.name)
    if not pc.any(is_it).as_py():
        return None
    tombstone = pa.scalar(subject.tombstone, accounts.type)
    field = table.schema.field(place)
    return table.set_column(place, field, pc.if_else(is_it, tombstone, accounts))


def remove_pages(project: Project, subject: Subject, *, do: bool) -> list[str]:
    """List, and where asked for remove, the program's own pages beside the configuration.

    Those that can be read go where they name a subject; a PDF cannot be, and goes.
    """
    gone = []
    for name in PAGES:
        for file in sorted(project.folder.glob(f"{name}*")):
            if file.suffix not in PAGE_SUFFIXES or not file.is_file():
                continue
            is_closed = file.suffix == ".pdf" and name not in WITHOUT_ACCOUNTS
            if is_closed or names_in(file, subject):
                gone.append(str(file))
                if do:
                    file.unlink()
    return gone


def left_in(project: Project, subject: Subject, source: Path | None) -> tuple[list[str], list[str]]:
    """List files of the project that still name a subject, and those nobody can look into.

    Parameters
    ----------
    project : Project
        The configuration.
    subject : Subject
        Who.
    source : Path or None
        Where the tables are, which are not the program's.
    """
    left, closed = [], []
    for file in _files(project, source):
        # A word that everybody uses stands in settings, models and records as what it means.
        is_others = file.suffix in TEXTS and project.registry_folder not in file.parents
        if names_in(file, subject, with_common=is_others):
            left.append(str(file))
        elif file.suffix in CLOSED and not _is_own(project, file):
            closed.append(str(file))
    return left, closed


def names_in(file: Path, subject: Subject, *, with_common: bool = True) -> bool:
    """Whether a file names a subject, as far as its form can be read.

    Parameters
    ----------
    file : Path
        The file.
    subject : Subject
        Who.
    with_common : bool
        Whether to look for words that everybody uses, where they are all that a field says; in a
        table they are looked for among ids and names.
    """
    own = [word for word in subject.words if word not in subject.common]
    pattern = _any_of(own, subject.common if with_common else [])
    try:
        if file.suffix == ".parquet":
            return _in_table(file, own, subject.common)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return any(pattern.search(archive.read(name)) for name in archive.namelist())
        return any(pattern.search(block) for block in _blocks(file))
    except (OSError, pa.ArrowException, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return False


def _is_own(project: Project, file: Path) -> bool:
    """Whether the program wrote a file, and knows that it names no account."""
    is_page = file.parent == project.folder and file.name.startswith(WITHOUT_ACCOUNTS)
    return is_page or str(file) == project.store_shown


def _files(project: Project, source: Path | None) -> Iterator[Path]:
    """Give every file of the folder, the registry and the store, once each."""
    store = Path(project.store_shown)
    folders = [project.folder, project.registry_folder]
    if store.exists():
        folders.append(store if store.is_dir() else store.parent)
    seen: set[Path] = set()
    for folder in folders:
        for place, inner, names in os.walk(folder):
            inner[:] = [
                one for one in inner if one not in PASSED_OVER and Path(place, one) != source
            ]
            for name in names:
                file = Path(place, name)
                if file not in seen and file != source and file.is_file():
                    seen.add(file)
                    yield file


def _in_table(file: Path, own: Sequence[str], common: Sequence[str]) -> bool:
    for batch in pq.ParquetFile(file).iter_batches():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            words = [*own, *(common if name in NAMING else ())]
            wanted = pa.array(words, pa.string())
            if pa.types.is_list(column.type):
                column = column.flatten()
            is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            if is_text and pc.any(pc.is_in(column.cast(pa.string()), wanted)).as_py():
                return True
    return False


def _blocks(file: Path) -> Iterator[bytes]:
    """Read a file in blocks that overlap, so that no word is cut."""
    with file.open("rb") as opened:
        kept = b""
        while block := opened.read(BLOCK):
            yield kept + block
            kept = block[-1024:]


def _any_of(own: Sequence[str], common: Sequence[str]) -> re.Pattern[bytes]:
    """Match words as text, JSON and HTML write them; short and common ones standing alone."""
    import json

    parts = []
    for word in (*own, *common):
        forms = {word, json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}
        forms |= {escape(word), escape(word, quote=False)}
        written = b"|".join(re.escape(form.encode("utf-8", "replace")) for form in sorted(forms))
        before, after = (b"(?<!\\w)", b"(?!\\w)") if _is_long(word, own) else _ALONE
        parts.append(before + b"(?:" + written + b")" + after)
    # Nothing is looked for where there is no word.
    return re.compile(b"|".join(parts) or b"(?!)")


def _is_long(word: str, own: Sequence[str]) -> bool:
    return len(word) >= LEAST and word in own


_ALONE = (b"(?<=[\"',;>:])", b"(?=[\"',;<:])")


def with_words(subject: Subject, *words: str) -> Subject:
    """Return a subject that is known by further words."""
    fresh = [word for word in words if word and word not in subject.words]
    return replace(subject, others=(*subject.others, *dict.fromkeys(fresh)))
