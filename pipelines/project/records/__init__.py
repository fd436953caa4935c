"""Records of people: files whose lines are only ever added, and what they say today."""
