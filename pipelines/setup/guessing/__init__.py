"""What a folder of tables seems to hold: names of tables and columns, and what values say."""
