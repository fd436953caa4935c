"""The score store: issued scores, which never change, in DuckDB, PostgreSQL or Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.errors import SettingsError
from features.sources.url import masked, scheme_of, with_environment
from pipelines.store.base import ScoreStore

if TYPE_CHECKING:
    from pipelines.project.project import Project


def open_store(project: Project, *, read_only: bool) -> ScoreStore:
    """Return the store of a project, to be entered as a context manager.

    Raises
    ------
    SettingsError
        When the address has the wrong form, the driver is not installed, or the key that runs are
        to be sealed with is not there.
    StoreError
        On entering: when the store cannot be opened, is held by another process, was written by a
        later version, or is to be read and is not there or has an earlier form.
    """
    url = with_environment(project.settings.store.url, "store")
    key = None if read_only else project.settings.store.seal_key()
    options: dict[str, Any] = {"read_only": read_only, "seal_key": key}
    scheme = scheme_of(url)
    delta = project.settings.store.delta
    if delta and (scheme or not url.endswith("/")):
        raise SettingsError(
            "[store] delta makes a Delta table of a folder of Parquet, and url is"
            f" '{masked(url)[:80]}'; end it with a slash, or take delta out"
        )
    if scheme in ("postgresql", "postgres"):
        from pipelines.store.postgres import PostgresStore

        return PostgresStore(url, **options)
    if scheme or "://" in url:
        raise SettingsError(
            "[store] url must be a DuckDB file, a folder of Parquet with a slash at its end or"
            f" postgresql://USER@HOST/DATABASE, found '{masked(url)[:80]}'; correct it"
        )
    if url.endswith("/"):
        from pipelines.store.parquet import ParquetStore

        return ParquetStore((project.folder / url).resolve(), delta=delta, **options)
    from pipelines.store.duckdb import DuckdbStore

    return DuckdbStore((project.folder / url).resolve(), **options)
