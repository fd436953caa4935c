"""The ``[store]`` section: where issued scores are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field

from features.sources.url import masked
from features.tables.mapping import Frozen


class StoreSettings(Frozen):
    """The ``[store]`` section: where issued scores are kept.

    Parameters
    ----------
    url : str
        A DuckDB file; a folder of Parquet files, with a slash at its end; or the address of a
        PostgreSQL server, whose ``?schema=`` is "healthscore" where left out (see
        ``docs/reference/score_store.md``). Files are relative to the configuration file. Earlier
        configurations call it ``file``.
    """

    url: str = Field("scores.duckdb", repr=False, min_length=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _was_file(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "file" not in raw:
            return raw
        if "url" in raw:
            raise ValueError("[store] has both url and file, its earlier name; take file out")
        return {"url" if key == "file" else key: value for key, value in raw.items()}

    def shown(self, folder: Path) -> str:
        """Return the place as it may be printed: a path, starting from a folder, or an address."""
        if "://" in self.url or self.url.startswith("${"):
            return masked(self.url)
        return f"{(folder / self.url).resolve()}{'/' * self.url.endswith('/')}"
