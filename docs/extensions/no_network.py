"""A page that fetches anything from elsewhere is a warning, which fails the build."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

FETCHING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
NAMING = {"canonical", "license", "author", "me"}
"""Relations of a ``link`` that name an address and fetch nothing."""


class _Fetches(HTMLParser):
    """Lists the addresses elsewhere that a browser would fetch to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at the attributes of one element."""
        given = dict(attrs)
        if tag == "link" and set((given.get("rel") or "").split()) <= NAMING:
            return
        for name in FETCHING.get(tag, ()):
            address = given.get(name) or ""
            if address.startswith(("http:", "https:", "//")):
                self.found.append(address)


def fetched(page: str) -> list[str]:
    """List the addresses elsewhere that a browser would fetch to show a page."""
    parser = _Fetches()
    parser.feed(page)
    return parser.found


def look(app: Sphinx, error: Exception | None) -> None:
    """Look at every page that was built."""
    if error is None and app.builder.format == "html":
        for file in sorted(Path(app.outdir).rglob("*.html")):
            for address in fetched(file.read_text(encoding="utf-8")):
                logger.warning("%s would fetch %s", file.relative_to(app.outdir), address)


def setup(app: Sphinx) -> dict[str, bool]:
    """Look when everything is written."""
    app.connect("build-finished", look)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
