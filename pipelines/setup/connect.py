"""What lies at an address: which vendors' exports are recognised there, and what is not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.json_values import Json
from features.sources.opening import open_source
from pipelines.setup.drafting.place import places
from pipelines.setup.drafting.vendors import Found, find_vendors, own_tables

if TYPE_CHECKING:
    from features.packs.pack import Pack


@dataclass(frozen=True)
class RecognisedVendor:
    """One vendor's tables.

    Parameters
    ----------
    section, pack, title : str
        What it would be called, and its layout.
    tables : dict of str to str
        Input of the pack to table.
    absent : list of str
        Inputs that are not there and need not be.
    gives : list of str
        Contract tables that come of it.
    """

    section: str
    pack: str
    title: str
    tables: dict[str, str]
    absent: list[str]
    gives: list[str]


@dataclass(frozen=True)
class Connection:
    """What ``healthscore connect`` says.

    Parameters
    ----------
    vendors : list of RecognisedVendor
        Whose exports are there.
    others : list of str
        Tables of no vendor that is known.
    unread : list of str
        Files that hold no table that can be read.
    """

    vendors: list[RecognisedVendor]
    others: list[str]
    unread: list[str]

    def to_dict(self) -> Json:
        """Return what ``connect --json`` prints."""
        return asdict(self)


def connect(url: str, packs: list[Pack]) -> Connection:
    """Look at a folder, a DuckDB file or a server, and say whose tables are there.

    Raises
    ------
    DataError
        When nothing readable is there.
    SettingsError
        When two vendors claim one table.
    """
    place, parts = places(url)
    with open_source(place, Path(), parts=parts) as source:
        vendors = find_vendors(source, parts, packs)
        return Connection(
            [_recognised(each) for each in vendors],
            sorted(own_tables(source, vendors)),
            list(source.unread),
        )


def _recognised(found: Found) -> RecognisedVendor:
    tables = found.recognised.tables
    return RecognisedVendor(
        found.section,
        found.pack.name,
        found.pack.title,
        dict(tables),
        [name for name in found.pack.inputs if name not in tables],
        [name for name in found.pack.tables if found.makes(name)],
    )
