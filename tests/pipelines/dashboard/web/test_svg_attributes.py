from __future__ import annotations

import re
from xml.etree import ElementTree

from pipelines.dashboard.web.svg_attributes import without_styles
from pipelines.reports.figures.weights import bands_plot


def test_a_figure_keeps_its_looks_without_styles() -> None:
    band = {"rows": 5, "low": 0.1, "high": 0.3, "expected_rate": 0.2, "observed_rate": 0.2}
    svg = bands_plot([{"band": "at-risk"} | band], "churn", "bands")
    plain = without_styles(svg)
    assert "style=" in svg
    assert "style=" not in plain
    before, after = (ElementTree.fromstring(text) for text in (svg, plain))
    for one, other in zip(before.iter(), after.iter(), strict=True):
        styles = dict(re.split(r":\s*", part) for part in one.get("style", "").split("; ") if part)
        kept = {name: value for name, value in one.attrib.items() if name != "style"}
        assert other.attrib == kept | {name.strip(): value for name, value in styles.items()}
        assert other.text == one.text


def test_what_somebody_wrote_stays_as_it_is() -> None:
    text = '<text style="fill: red"> a style="x: y" b</text>'
    assert without_styles(text) == '<text fill="red"> a style="x: y" b</text>'


def test_quotes_cannot_end_an_attribute() -> None:
    found = without_styles('<text style="font-family: &quot;A&quot; onload=x"/>')
    assert found == '<text font-family="&quot;A&quot; onload=x"/>'


def test_short_fonts_are_written_out_and_what_is_css_alone_is_dropped() -> None:
    assert without_styles('<g style="font: 9px sans-serif; mix-blend-mode: x;"/>') == (
        '<g font-size="9px" font-family="sans-serif"/>'
    )
