"""Formulas as MathML, which browsers and screen readers understand without a script.

Sphinx's own ways need LaTeX on the machine or MathJax from the network; docutils translates by
itself.
"""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def translated(node: nodes.Node, *, as_block: bool) -> str:
    """Translate one formula; one that cannot be read is a warning and stays as it was written."""
    text = node.astext()
    try:
        written: str = tex2mathml(text, as_block=as_block)
    except (MathError, KeyError, IndexError, ValueError, AttributeError) as error:
        logger.warning("formula %r cannot be read: %s", text, error, location=node)
        return f"<code>{escape(text)}</code>"
    return written


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(translated(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula that stands by itself."""
    translator.body.append(f'<div class="formula">{translated(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer, and choose it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
