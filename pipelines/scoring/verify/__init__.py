"""Is an issued run as it was issued: made again, and against its seal."""
