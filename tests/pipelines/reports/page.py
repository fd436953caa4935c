"""A page as a reader of its markup sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}


@dataclass
class Table:
    caption: str = ""
    headings: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    @property
    def by_name(self) -> dict[str, dict[str, str]]:
        """Cells by what their row and column are called."""
        return {row[0]: dict(zip(self.headings, row, strict=True)) for row in self.rows}


class Page(HTMLParser):
    """Elements, links and text of a page; elements must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.tables: list[Table] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self._open.append(tag)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append((int(tag[1]), ""))
        elif tag == "table":
            self.tables.append(Table())
        elif tag == "tr" and "tbody" in self._open:
            self.tables[-1].rows.append([])
        elif tag in {"th", "td"}:
            table = self.tables[-1]
            (table.rows[-1] if "tbody" in self._open else table.headings).append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, (tag, self._open[-3:], self.getpos())

    def handle_data(self, data):
        inside = set(self._open)
        if not inside & {"style", "title", "desc"}:
            self.text += data
        if self._open and self._open[-1] == "style":
            return
        if self.headings and inside & {"h1", "h2", "h3", "h4"}:
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)
        if "caption" in inside:
            self.tables[-1].caption += data
        elif inside & {"th", "td"}:
            table = self.tables[-1]
            cells = table.rows[-1] if "tbody" in inside else table.headings
            cells[-1] += data

    def values(self, *names: str) -> list[str]:
        """Values of the attributes of these names."""
        return [value for _, name, value in self.attributes if name in names]

    def table(self, caption: str) -> Table:
        """The one table whose caption holds a text."""
        (found,) = [table for table in self.tables if caption in table.caption]
        return found
