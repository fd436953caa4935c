"""How the documentation is built; ``make docs`` does it."""

from __future__ import annotations

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

project = "Healthscore"
author = "The Healthscore authors"
version = release = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"][
    "version"
]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "generated_reference",
    "mathml",
    "no_network",
]
exclude_patterns = ["_static", "_templates", "extensions", "images"]
highlight_language = "none"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

templates_path = ["_templates"]
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {
    "exclude-members": ",".join(
        (
            # scikit-learn gives its estimators these, with links into its own documentation.
            "set_fit_request",
            "set_predict_proba_request",
            "set_score_request",
            # An alias of a tuple type, which is taken for a function.
            "Place",
        )
    )
}
# Where PySpark, 400 MB, is not installed, a stand-in for what needs it gives the same pages.
autodoc_mock_imports = [] if find_spec("pyspark") else ["ibis.backends.pyspark"]
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_theme = "pydata_sphinx_theme"
html_title = "Healthscore"
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "logo": {"text": "Healthscore"},
    "navbar_end": ["theme-switcher"],
    "footer_start": [],
    "footer_end": [],
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "back_to_top_button": False,
}
