"""The score store: issued runs in DuckDB, PostgreSQL or Parquet, which never change."""
