"""Retention: what of a book of contracts is kept, lost and grown, quarter by quarter."""
