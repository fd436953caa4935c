"""Buckets and Iceberg catalogues, read by the embedded DuckDB."""

from __future__ import annotations

from features.errors import SettingsError
from features.sources.duckdb import duckdb_engine, places_source, scratch_of
from features.sources.lake.parts import PartedTable, versions_in
from features.sources.lake.place import SCHEMES, Bucket
from features.sources.lake.tables import PlaceTables
from features.sources.source import Source, Tables
from features.sources.url import masked, parse_url, query_of

__all__ = ["SCHEMES", "open_bucket", "open_catalogue"]
FORM = "iceberg://CATALOGUE/NAMESPACE"


def open_bucket(url: str, encoding: str = "utf-8") -> Source:
    """Open the tables of a bucket's folder.

    Raises
    ------
    SettingsError
        When the address holds credentials or what is not known.
    DataError
        When the bucket cannot be read, or holds no table.
    """
    scheme, _, rest = url.partition("://")
    folder, _, query = rest.partition("?")
    engine, scratch = scratch_of(duckdb_engine())
    try:
        told = query_of(query)
        versions = versions_in(told)
        about = {key: value for key, value in told.items() if not key.startswith("version.")}
        bucket = Bucket(scheme.lower(), folder, about, masked(url), scratch() / "brought")
        tables = PlaceTables(engine.connection, bucket, encoding, versions, scratch)
        return places_source(engine, {"": tables}, masked(url))
    except BaseException:
        engine.close()
        raise


def open_catalogue(url: str) -> Source:
    """Open the tables of a namespace of an Iceberg catalogue.

    Raises
    ------
    SettingsError
        When the address has another form, or the reader of Iceberg is not installed.
    DataError
        When the catalogue or the namespace is not there.
    """
    parsed = parse_url(url, FORM)
    if parsed.user or parsed.password or not (parsed.host and parsed.database):
        raise SettingsError(
            f"The source '{parsed.shown}' must have the form {FORM} and no credentials, which come"
            " from PyIceberg's own file and environment; correct source.url"
        )
    from features.sources.lake.iceberg import catalogue_tables, iceberg_table

    engine, scratch = scratch_of(duckdb_engine())
    try:
        versions = versions_in(parsed.query)
        about = {
            key: value for key, value in parsed.query.items() if not key.startswith("version.")
        }
        opened = catalogue_tables(parsed.host, parsed.database, about)
        made: dict[str, PartedTable] = {}

        def parted(name: str) -> PartedTable:
            if name not in made:
                made[name] = iceberg_table(
                    engine.connection, name, opened[name], versions.get(name), scratch()
                )
            return made[name]

        tables = Tables(opened, lambda name: parted(name).whole())
        return Source(engine, tables, parsed.shown, parted=parted)
    except BaseException:
        engine.close()
        raise
