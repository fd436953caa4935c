"""Templates become pages here: one environment, and whatever it is given is escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.reports import wording


@cache
def environment() -> Environment:
    """Return the environment of all pages.

    Every value is escaped, whatever a template is called, since names of accounts and segments are
    anybody's text; a value that a template asks for in vain is an error, not an empty place. The
    functions of :mod:`pipelines.reports.wording` are filters of the same names.
    """
    made = Environment(
        loader=PackageLoader("pipelines.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: getattr(wording, name) for name in wording.FILTERS}
    return made


def render(template: str, **context: object) -> str:
    """Fill in a template.

    Parameters
    ----------
    template : str
        Its file in ``pipelines/reports/templates``, such as "weights.html.j2".
    **context : object
        What it asks for.

    Returns
    -------
    str
        A whole page.
    """
    return environment().get_template(template).render(**context)
