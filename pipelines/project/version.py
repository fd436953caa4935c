"""Which version of the program this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version that is installed; words where the program runs from its folder alone."""
    try:
        return version("healthscore")
    except PackageNotFoundError:
        return "not installed"
