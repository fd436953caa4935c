"""How values are read: what was decided over a whole column and compared across a folder."""
