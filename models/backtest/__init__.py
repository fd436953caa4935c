"""Backtest: the model and its contenders on later dates, lead times and leaks."""
