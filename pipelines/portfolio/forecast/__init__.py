"""The retention forecast: what of the book is kept, lost and grown, quarter by quarter."""
