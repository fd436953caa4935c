"""Health scores: calibrated margins on a scale, points, reasons and moves."""
