from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from pipelines.reports.figures.inline_svg import INK, inline_svg

TRICKY = '<b> 0.123456 #010203 url(#p1) href="#x" font-family: Evil $x_2$ 1 > 0'


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.data: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.data.append(data)


def _figure(text: str = "label") -> Figure:
    figure = Figure(figsize=(3, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.0, 1.23456], [1.0, 2.0], "o-", color=INK)
    axes.bar([0.5], [1.0], hatch="//")
    axes.set_title(text, parse_math=False)
    return figure


@pytest.fixture(scope="module")
def drawn() -> str:
    return inline_svg(_figure(TRICKY), "one", TRICKY, f"{TRICKY} told")


def test_a_figure_is_one_element_with_a_title_and_a_description(drawn):
    assert drawn.startswith("<svg viewBox=")
    assert drawn.endswith("</svg>")
    seen = Seen(drawn)
    assert seen.tags[:3] == ["svg", "title", "desc"]
    assert 'role="img" aria-labelledby="one-title one-told"' in drawn
    assert {"metadata", "style", "b", "script"} & set(seen.tags) == set()


def test_somebodys_text_is_left_as_it_is(drawn):
    assert Seen(drawn).data.count(TRICKY) == 2
    assert f"{TRICKY} told" in Seen(drawn).data


def test_ids_are_its_own_and_none_is_missing(drawn):
    ids = Seen(drawn).ids
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("one-") for name in ids)
    tags = "".join(re.findall(r"<[^>]*>", drawn))
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', tags)
    assert {first or second for first, second in used} == set(ids) - {"one-title", "one-told"}
    other = Seen(inline_svg(_figure(TRICKY), "two", "t", "d")).ids
    assert not set(ids) & set(other)


def test_it_takes_the_colour_of_its_page_and_numbers_are_short(drawn):
    tags = "".join(re.findall(r"<[^>]*>", drawn))
    assert "currentColor" in tags
    assert INK not in tags
    assert "DejaVu" not in tags
    assert not re.search(r"\d\.\d{3}", tags)
    assert "http" not in tags


def test_equal_figures_are_equal_text():
    assert inline_svg(_figure(), "a", "t", "d") == inline_svg(_figure(), "a", "t", "d")
