"""Reading values: the form of a column's dates and numbers, decided over the column."""
