"""The ``[source]`` section, and where ``[rates]`` belongs."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from features.packs.vendors import Vendor
from features.tables.mapping.frozen import Frozen


class SourceSettings(Frozen):
    """The ``[source]`` section: where the tables lie.

    Parameters
    ----------
    url : str or None
        A folder of Parquet and CSV files or a DuckDB file, relative to the configuration file; or
        an address of a bucket, a server or Spark (see ``docs/reference/engines.md``). It may be
        left out where every vendor has a folder of its own.
    data_end : date or None
        The first day of which nothing is known; by default the day after the last row.
    encoding : {"utf-8", "utf-16", "latin-1"}
        Of text files.
    vendors : dict of str to Vendor
        The sections ``[source.NAME]``.
    """

    url: str | None = Field(None, repr=False)
    data_end: date | None = None
    encoding: Literal["utf-8", "utf-16", "latin-1"] = "utf-8"
    vendors: dict[Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_-]*$")], Vendor] = Field({})

    @pydantic.model_validator(mode="before")
    @classmethod
    def _gather_vendors(cls, raw: Any) -> Any:
        """Let vendors stand directly under ``[source]``, as ``[source.stripe]``."""
        if not isinstance(raw, dict):
            return raw
        beside = {key: node for key, node in raw.items() if isinstance(node, dict)}
        beside.pop("vendors", None)
        rest = {key: node for key, node in raw.items() if key not in beside}
        return {**rest, "vendors": {**rest.get("vendors", {}), **beside}}

    @pydantic.model_validator(mode="after")
    def _is_somewhere(self) -> SourceSettings:
        if self.url is None and not any(vendor.url for vendor in self.vendors.values()):
            raise ValueError("[source] url is required and missing; add it")
        return self


def with_rates(raw: Any) -> Any:
    """Read ``[rates]`` as a part of ``[reading]``: wherever values are read, amounts are too."""
    if not isinstance(raw, dict) or not isinstance(raw.get("reading", {}), dict):
        return raw
    rest = {key: node for key, node in raw.items() if key != "rates"}
    if "rates" not in raw:
        return raw
    return {**rest, "reading": {**raw.get("reading", {}), "rates": raw["rates"]}}
