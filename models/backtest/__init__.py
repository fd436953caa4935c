"""models.backtest.backtest."""
