"""Account pages: the list, one account, and what is computed of it."""
