"""Values and comments of a drafted TOML file, whatever a stranger's names hold."""

from __future__ import annotations

from typing import Any


def quoted(value: Any) -> str:
    """Return a value as TOML writes it."""
    import tomlkit

    return str(tomlkit.item(value).as_string())


def comment(text: str, limit: int = 80) -> str:
    """Keep a name from breaking out of a comment."""
    return "".join(c if c.isprintable() else " " for c in text)[:limit]
