"""Pages for people: self-contained HTML that needs no script, and the same as PDF."""
