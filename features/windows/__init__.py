"""Lookback windows: panes of a day, added up to any span."""
