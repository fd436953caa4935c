"""Tables of many files: partitioned folders, Delta Lake, Iceberg and buckets, read by DuckDB."""
