"""The list of accounts: its address, its pages, its file for a spreadsheet."""
