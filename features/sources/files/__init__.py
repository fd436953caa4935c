"""Files that hold tables: which ones, how they are written, and what their values plainly are."""
