"""Account pages: one account, and what is computed of it."""
