"""Why a score moved between two dates, and how it has moved over many."""
