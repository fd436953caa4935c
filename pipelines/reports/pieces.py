"""What pages are made of: sections that open with a sentence, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of a row names the row.

    Parameters
    ----------
    caption : str
        What it shows.
    columns : sequence of str
        Headings; one that starts with ``>`` is aligned to the right, as numbers are.
    rows : sequence of sequence of str
        Cells; text that is not Markup is escaped.
    folded : str
        What opens it, where it is for few readers; "" shows it at once.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: str = ""

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """Each heading, and whether its column holds numbers.

        Examples
        --------
        >>> Table("Weights", ["Measure", ">today"], []).headings
        [('Measure', False), ('today', True)]
        """
        return [(text.removeprefix(">"), text.startswith(">")) for text in self.columns]


@dataclass(frozen=True)
class Figure:
    """A figure, or several small ones side by side, with what to read off it.

    Parameters
    ----------
    svg : sequence of (str, str)
        What each is called, "" for a single one, and the figure, from
        :mod:`pipelines.reports.figures.weights`.
    caption : str
        How to read it.
    """

    svg: Sequence[tuple[str, str]]
    caption: str

    @property
    def drawn(self) -> list[tuple[str, Markup]]:
        """The figures as elements of a page: they are ours, and nobody's text in them is bare."""
        return [(name, Markup(text)) for name, text in self.svg]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Section:
    """A part of a page that the table of contents names.

    Parameters
    ----------
    key : str
        Where links lead; its own on the page.
    title : str
        Heading.
    sentence : str
        The answer in one plain sentence.
    parts : sequence of Table, Figure or Text
        What it rests on.
    sections : sequence of Section
        Parts of their own name.
    """

    key: str
    title: str
    sentence: str
    parts: Sequence[Table | Figure | Text] = ()
    sections: Sequence[Section] = ()
