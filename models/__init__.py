"""What past outcomes teach: from labelled signals to a calibrated, explained health score."""
