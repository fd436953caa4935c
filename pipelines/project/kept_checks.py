"""What a check told of all tables, kept beside the store until a file or the mapping differs."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.project.version import installed_version

if TYPE_CHECKING:
    from features.sources.source import Source
    from features.tables.company import Company
    from features.tables.quality import TableQuality
    from pipelines.project.project import Project

FORM, SUFFIX = "checks 1", ".checks.json"
KEPT_DAYS = 40
FUTURE = "future-times"
"""What is found of times after now is another tomorrow, though no file is."""


@dataclass(frozen=True)
class KeptChecks:
    """A place where what was told of the tables as they are is kept.

    Parameters
    ----------
    file : Path
        Named by all that it was told of.
    """

    file: Path

    def read(self) -> tuple[dict[str, TableQuality], date] | None:
        """Return what was told of each table and the day after the data; None where nothing was.

        Whatever cannot be read, cut off by a full disk or of another form, counts as absent.
        """
        from features.tables.mapping.finding import Finding
        from features.tables.quality import TableQuality

        try:
            told = json.loads(self.file.read_text(encoding="utf-8"))
            quality = {
                name: TableQuality(
                    **table
                    | {
                        "first": _moment(table["first"]),
                        "last": _moment(table["last"]),
                        "findings": tuple(Finding(**one) for one in table["findings"]),
                        "decided": tuple(table["decided"]),
                    }
                )
                for name, table in told["tables"].items()
            }
            end = date.fromisoformat(told["end"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        with suppress(OSError):
            os.utime(self.file)
        return quality, end

    def keep(self, company: Company) -> None:
        """Keep what was told, all of it or nothing; where that cannot be, the next one tells anew.

        What hangs on today is not kept: times in the future, and tables without any date.
        """
        quality = company.quality
        codes = {finding.code for table in quality.values() for finding in table.findings}
        if FUTURE in codes or all(table.last is None for table in quality.values()):
            return
        tables = {
            name: asdict(table) | {"first": _written(table.first), "last": _written(table.last)}
            for name, table in quality.items()
        }
        fresh = self.file.with_suffix(f".{os.getpid()}.part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"tables": tables, "end": company.data_end.isoformat()})
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self.file)
            until = time.time() - KEPT_DAYS * 86_400
            for file in self.file.parent.glob(f"*{SUFFIX}"):
                if file.stat().st_mtime < until:
                    file.unlink(missing_ok=True)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)


def kept_checks(project: Project, source: Source) -> KeptChecks | None:
    """Name the place of what is told of a source's tables as they are now.

    Returns
    -------
    KeptChecks or None
        None where a table has no files that can be told from what may once lie in their place, as
        on a server, or as text.
    """
    import duckdb

    settings = project.settings
    if settings.source.vendors or settings.views:
        return None
    parts = []
    for name, mapping in sorted(settings.tables.mapped().items()):
        table = source.parted(mapping.source or name)
        if table is None:
            return None
        parts += [name, *(part.identity for part in table.parts)]
    made_from = [
        *(FORM, installed_version(), duckdb.__version__),
        *(each.model_dump_json() for each in (settings.source, settings.tables, settings.reading)),
        *parts,
    ]
    digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()
    return KeptChecks(settings.store.kept_folder(project.folder) / f"{digest}{SUFFIX}")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
