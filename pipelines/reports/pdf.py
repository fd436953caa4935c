"""Pages on paper: the same HTML as PDF."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import SettingsError
from pipelines.reports.terminal.whole_file import replaced_whole


def write_pdf(html: str, file: Path) -> None:
    """Write a page as PDF.

    Parameters
    ----------
    html : str
        A self-contained page; nothing that it names is fetched.
    file : Path
        Where to; an older file is replaced whole.

    Raises
    ------
    SettingsError
        When the system's libraries that set text cannot be loaded.
    """
    written = pdf_of(html)
    with replaced_whole(file) as fresh:
        fresh.write_bytes(written)


def pdf_of(html: str) -> bytes:
    """Set a self-contained page as PDF.

    Raises
    ------
    SettingsError
        When the system's libraries that set text cannot be loaded.
    """
    try:
        from weasyprint import HTML, URLFetcher  # type: ignore[import-untyped]
    except OSError as error:
        raise SettingsError(
            "A PDF needs the system library Pango, which cannot be loaded"
            f" ({str(error).splitlines()[0][:120]}); install it with 'apt install libpango-1.0-0"
            " libpangoft2-1.0-0 libharfbuzz-subset0' or 'brew install pango', or write .html"
        ) from error
    with _quiet():
        # Nothing but what is in the page: no protocol is asked.
        page = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=()))
        return bytes(page.write_pdf())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep remarks on styles that are for screens alone from people's terminals."""
    log = logging.getLogger("weasyprint")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
