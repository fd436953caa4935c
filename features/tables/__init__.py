"""Source tables: the contract their columns are mapped to, read, cleaned and checked against."""
