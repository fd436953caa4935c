"""The scorecard a team weighs by hand: graded, learnt from outcomes, replayed."""
