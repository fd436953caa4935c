"""The first model: a team's scorecard as what is believed, and outcomes that move it."""
