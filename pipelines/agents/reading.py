"""Pages as text: what a page says, without what it looks like, and with others' names marked."""

from __future__ import annotations

from html.parser import HTMLParser

OPENS, CLOSES = "⟦", "⟧"
"""Stand around what people wrote into a table or a form."""
SKIPPED = frozenset({"form", "script", "style", "svg", "nav", "button", "datalist"})
UNSEEN = frozenset({"hidden", "choose-columns", "dispute", "chips"})
"""Classes of what is said twice, or is there to be clicked on."""
EMPTY = frozenset({"input", "br", "meta", "link", "img", "hr", "col", "polyline", "rect", "path"})
BLOCKS = {"h1": "# ", "h2": "## ", "h3": "### ", "p": "", "li": "- ", "caption": "", "summary": ""}
ENDS = frozenset({*BLOCKS, "div", "tr", "dl", "ul", "ol", "section", "figcaption"})


class PageText(HTMLParser):
    r"""Collects what the main part of a page says.

    Forms, pictures and what only screens need are left out. A row of a table is a line in which
    each cell stands behind its heading.

    Parameters
    ----------
    is_part : bool
        Whether what is read is a part of a page, without its frame.

    Examples
    --------
    >>> reader = PageText()
    >>> reader.feed("<main><h1>About <bdi>Acme ⟧</bdi></h1><form>no</form><p>5 %</p></main>")
    >>> reader.text
    '# About ⟦Acme⟧\n5 %'
    """

    def __init__(self, *, is_part: bool = False) -> None:
        super().__init__(convert_charrefs=True)
        self._is_part = is_part
        self._lines: list[str] = []
        self._line = ""
        self._open: list[str] = []
        self._hidden = 0
        self._heads: list[str] = []
        self._cell: int | None = None
        self._in_head = False

    @property
    def text(self) -> str:
        """What was read so far."""
        return "\n".join([*self._lines, *([self._line.strip()] if self._line.strip() else [])])

    @property
    def _is_read(self) -> bool:
        return self._is_part or "main" in self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if tag in EMPTY:
            return
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        self._open.append(tag)
        is_unseen = bool(UNSEEN & set(classes)) or given.get("aria-hidden") == "true"
        if self._hidden or tag in SKIPPED or is_unseen:
            self._hidden += 1
            return
        if tag in BLOCKS:
            self._end_line()
            self._line = BLOCKS[tag]
        elif tag in ("table", "tr"):
            self._end_line()
            self._heads = [] if tag == "table" else self._heads
            self._cell = 0
        elif tag == "thead":
            self._in_head = True
        elif tag in ("td", "th"):
            self._begin_cell(given.get("data-label"))
        elif tag in ("dt", "dd"):
            self._line += "" if tag == "dt" else " "
        elif tag == "bdi" and self._is_read:
            self._line += OPENS

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if tag in EMPTY or tag not in self._open:
            return
        while self._open:
            ended = self._open.pop()
            if self._hidden:
                self._hidden -= 1
            else:
                self._ended(ended)
            if ended == tag:
                return

    def handle_data(self, data: str) -> None:
        """Read some text."""
        if self._hidden or not self._is_read:
            return
        # Whoever wrote a mark into a name must not end what the mark begins.
        plain = data.replace(OPENS, " ").replace(CLOSES, " ")
        words = " ".join(plain.split())
        if not words:
            self._line += " " if self._line and not self._line.endswith((" ", OPENS)) else ""
            return
        before = " " if plain[:1].isspace() and not self._line.endswith((" ", OPENS)) else ""
        after = " " if plain[-1:].isspace() and "bdi" not in self._open else ""
        self._line += f"{before if self._line else ''}{words}{after}"

    def _ended(self, tag: str) -> None:
        if tag == "bdi" and self._is_read:
            self._line += CLOSES
        elif tag == "dt":
            self._line += ":"
        elif tag == "thead":
            self._in_head = False
        elif tag == "th" and self._in_head:
            self._heads.append(self._line.strip())
            self._line = ""
        elif tag in ENDS:
            self._end_line()

    def _begin_cell(self, label: str | None) -> None:
        if self._in_head:
            self._line = ""
            return
        place = self._cell or 0
        head = label or (self._heads[place] if place < len(self._heads) else "")
        if place:
            self._line = self._line.rstrip() + ("; " if self._line.strip() else "")
        if head and place:
            self._line += f"{head}: "
        self._cell = place + 1

    def _end_line(self) -> None:
        if self._line.strip() and self._line.strip() not in ("-", "#", "##", "###"):
            self._lines.append(self._line.strip())
        self._line = ""


def text_of(page: str) -> str:
    """Return what the main part of a page says, or a part of a page."""
    reader = PageText(is_part="<main" not in page)
    reader.feed(page)
    reader.close()
    return reader.text


def sections_of(text: str, *headings: str, without: bool = False) -> str:
    r"""Leave the sections of a text whose headings begin so, or all but those, with its title.

    Examples
    --------
    >>> sections_of("# A\n## B\n1\n## C\n2", "C")
    '# A\n## C\n2'
    """
    kept, is_kept = [], without
    for line in text.splitlines():
        if line.startswith("## "):
            is_kept = line.removeprefix("## ").startswith(headings) != without
        if is_kept or line.startswith("# "):
            kept.append(line)
    return "\n".join(kept)
