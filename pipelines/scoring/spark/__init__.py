"""Scoring on Spark: rows stay where they are, and a Parquet store is written where they are."""
