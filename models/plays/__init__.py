"""What a play does to churn, compared with accounts alike that were left alone."""
