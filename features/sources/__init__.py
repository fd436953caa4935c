"""Sources and engines: DuckDB, PostgreSQL and Spark behind one expression language."""
