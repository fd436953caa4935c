"""The churn model: a linear backbone per segment and boosted trees that correct it."""
