"""The ``[store]`` section: where issued scores are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field

from features.errors import SettingsError
from features.sources.url import masked
from features.tables.mapping.mapping import Frozen


class StoreSettings(Frozen):
    """The ``[store]`` section: where issued scores are kept.

    Parameters
    ----------
    url : str
        A DuckDB file; a folder of Parquet files, with a slash at its end; or the address of a
        PostgreSQL server, whose ``?schema=`` is "healthscore" where left out (see
        ``docs/reference/score_store.md``). Files are relative to the configuration file. Earlier
        configurations call it ``file``.
    seal_key_env : str or None
        Name of the environment variable that holds the key which issued runs are sealed with; the
        key itself is never in a file.
    keep_reasons_days : int or None
        How long the reasons of a run are kept; for ever by default. Scores, points and
        probabilities stay, and so do the reasons of the newest run.
    delta : bool
        Whether a folder of Parquet files is a Delta table as well.
    """

    url: str = Field("scores.duckdb", repr=False, min_length=1)
    seal_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    keep_reasons_days: int | None = Field(None, ge=1, le=36_500)
    delta: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _was_file(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "file" not in raw:
            return raw
        if "url" in raw:
            raise ValueError("[store] has both url and file, its earlier name; take file out")
        return {"url" if key == "file" else key: value for key, value in raw.items()}

    def seal_key(self) -> bytes | None:
        """Return the key that runs are sealed with, None where none is named.

        Raises
        ------
        SettingsError
            When the variable that holds it is not set.
        """
        if self.seal_key_env is None:
            return None
        key = os.environ.get(self.seal_key_env)
        if not key:
            raise SettingsError(
                f"The environment variable '{self.seal_key_env}' that [store] seal_key_env names is"
                " not set, and issued runs are sealed with the key it holds; set it"
            )
        return key.encode()

    def kept_folder(self, folder: Path) -> Path:
        """Return where what was computed of each file of the tables is kept, beside the store."""
        if "://" in self.url or self.url.startswith("${"):
            return folder / "panes"
        store = (folder / self.url).resolve()
        return store.with_name(f"{store.name}.panes")

    def shown(self, folder: Path) -> str:
        """Return the place as it may be printed: a path, starting from a folder, or an address."""
        if "://" in self.url or self.url.startswith("${"):
            return masked(self.url)
        return f"{(folder / self.url).resolve()}{'/' * self.url.endswith('/')}"
