"""Figures as SVG inside a page: many on one, in its colours, and read out to who cannot see."""

from __future__ import annotations

import html
import io
import re
import warnings
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Drawn in this colour, lines and letters take that of the text around them, in light and dark.
INK = "#010203"
# Figures are drawn small, so that a phone need not shrink them, and shown as large as its text.
ENLARGED = 1.2
QUIET = "#6b7782"
DROPPED = re.compile(
    r"<metadata>.*?</metadata>\s*|<defs>\s*<style.*?</style>\s*</defs>\s*", re.DOTALL
)
OPENING = re.compile(r"<svg\b[^>]*?viewBox=\"(?P<box>[^\"]+)\"[^>]*>")
TAG = re.compile(r"<[^>]*>")
FONTS = re.compile(r"font-family: [^;\"]*")
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
REFERENCE = re.compile(r"(?:href=\"#|url\(#)([^\")]+)")
NAMED = re.compile(r" id=\"([^\"]+)\"")


def inline_svg(figure: Figure, key: str, title: str, told: str) -> str:
    """Write a figure as an SVG element that shares a page with others.

    Equal figures give equal text. Letters stay letters, so that they can be searched and read with
    the viewer's own fonts; what is drawn in :data:`INK` takes the colour of the text around it.

    Parameters
    ----------
    figure : Figure
        Any, on a transparent ground.
    key : str
        Letters, digits and hyphens; its own on the page, since every id of the figure starts so.
    title, told : str
        What the figure shows, and what it says, for those who do not see it.

    Returns
    -------
    str
        The ``svg`` element.
    """
    drawn = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": key}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The text stays text: the viewer's own fonts have letters that ours lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
    text = DROPPED.sub("", drawn.getvalue())
    opening = OPENING.search(text)
    assert opening is not None, "Matplotlib gives every SVG a viewBox"
    body = text[opening.end() :]
    used = {name for tag in TAG.findall(body) for name in REFERENCE.findall(tag)}
    body = TAG.sub(lambda tag: _own_tag(tag[0], key, used), body)
    width = ENLARGED * float(opening["box"].split()[2])
    return (
        f'<svg viewBox="{opening["box"]}" style="width: {width:g}pt" role="img"'
        f' aria-labelledby="{key}-title {key}-told">'
        f'<title id="{key}-title">{html.escape(title)}</title>'
        f'<desc id="{key}-told">{html.escape(told)}</desc>{body.strip()}'
    )


def _own_tag(tag: str, key: str, used: set[str]) -> str:
    """Give a tag ids of the figure's own, the page's colour and font, and short numbers.

    What lies between tags is somebody's text and stays as it is.
    """
    # Most ids name nothing that anything refers to.
    tag = NAMED.sub(lambda found: f' id="{key}-{found[1]}"' if found[1] in used else "", tag)
    tag = REFERENCE.sub(lambda found: found[0].replace("#", f"#{key}-", 1), tag)
    tag = FONTS.sub("font-family: sans-serif", tag).replace(INK, "currentColor")
    # A page declares no namespaces, and needs none.
    tag = tag.replace("xlink:href", "href")
    return LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", tag)
