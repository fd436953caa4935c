"""Where the tables of a draft are: an address or a folder, and the folders of vendors in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from features.errors import DataError, SettingsError
from features.sources.files.listing import table_files
from features.sources.url import is_address, masked
from pipelines.setup.drafting.toml_text import quoted
from pipelines.setup.drafting.vendors import parts_of


class Place(NamedTuple):
    """Where the tables are, and in which encoding their texts."""

    url: str | None
    encoding: str = "utf-8"

    def lines(self) -> str:
        """Return the lines that say so."""
        line = '# url = "tables"' if self.url is None else f"url = {quoted(self.url)}"
        return line + (f"\nencoding = {quoted(self.encoding)}" if self.encoding != "utf-8" else "")


def places(place: str) -> tuple[str | None, dict[str, str]]:
    """Return the source's own address, and those of the folders in it; it may hold only these."""
    if is_address(place):
        return place, {}
    whole = Path(place).resolve()
    parts = parts_of(whole)
    if parts:
        try:
            table_files(whole, beside_packed=True)
        except DataError:
            return None, parts
    # Folders beside tables of one's own are other things, until a person names them.
    return str(whole), {}


def as_written(place: str, target: Path) -> str:
    """Return an address as the configuration has it: a path from its folder, or a server's."""
    if not is_address(place):
        return relative(Path(place), target)
    if masked(place) != place:
        raise SettingsError(
            f"The address '{masked(place)}' holds a password, and the configuration is no place for"
            " one; give it as ${NAME} of a variable, or leave it to the server's own file"
        )
    return place


def relative(folder: Path, target: Path) -> str:
    """Return a folder's path from the file that is to name it."""
    return Path(os.path.relpath(folder.resolve(), target.resolve().parent)).as_posix()
