"""Figures without styles of their own, which pages of the panel do not allow."""

from __future__ import annotations

import html
import re

TAG = re.compile(r"<[^>]*>")
STYLE = re.compile(r' style="([^"]*)"')
FONT = re.compile(r"^(?P<size>[\d.]+px) (?P<family>.+)$")
CSS_ONLY = frozenset({"mix-blend-mode", "image-rendering", "vector-effect"})
"""Properties that are no attributes; figures look the same without."""


def without_styles(svg: str) -> str:
    """Write every ``style`` of an SVG element as attributes, which mean the same.

    A page that allows no styles within it, so that nobody can smuggle one in, would drop them.

    Parameters
    ----------
    svg : str
        From :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Examples
    --------
    >>> without_styles('<path d="M 0 0" style="fill: none; stroke-width: 1.5"/>')
    '<path d="M 0 0" fill="none" stroke-width="1.5"/>'
    """

    def tag(found: re.Match[str]) -> str:
        return STYLE.sub(lambda style: _attributes(html.unescape(style[1])), found[0])

    # What lies between tags is somebody's text and stays as it is.
    return TAG.sub(tag, svg)


def _attributes(style: str) -> str:
    given: dict[str, str] = {}
    for part in style.split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if not name or name in CSS_ONLY:
            continue
        if name == "font" and (short := FONT.match(value)):
            given |= {"font-size": short["size"], "font-family": short["family"]}
        else:
            given[name] = value
    return "".join(f' {name}="{html.escape(value)}"' for name, value in given.items())
