"""Figures of the portfolio page: well-formed, told in words, and safe with anybody's names."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from pipelines.reports.figures.portfolio import bands_by_part_plot, matured_plot

BANDS = ["at-risk", "watch", "healthy"]


def read(svg: str) -> tuple[str, str]:
    """Title and description; the figure parses with every id its own."""
    tree = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("key-") for name in ids)
    texts = {one.tag.split("}")[-1]: one.text for one in tree}
    assert tree.get("role") == "img"
    return texts["title"], texts["desc"]


@pytest.mark.parametrize("bands", [BANDS, ["likely", "possible", "unlikely"]])
def test_bands_are_told_by_part(bands) -> None:
    svg = bands_by_part_plot(
        ["small", "large"], bands, [[1, 2, 3], [10, 20, 30]], "Accounts", "{:.0f}".format, "key"
    )
    title, told = read(svg)
    assert title == "Accounts in each band"
    assert (
        told
        == "; ".join(
            f"{name}: " + ", ".join(f"{band} {n}" for band, n in zip(bands, row, strict=True))
            for name, row in (("small", (1, 2, 3)), ("large", (10, 20, 30)))
        )
        + "."
    )
    # Each band by a hatch or the lack of one too, never by colour alone.
    assert len(set(re.findall(r"fill: url\(#([^)]+)\)", svg))) == 2


def test_forecasts_are_told_with_what_came() -> None:
    svg = matured_plot(
        ["2025-01-01"],
        [(20.0, 30.0, 40.0)],
        [44.0],
        "Accounts that churned",
        "{:.0f}".format,
        "key",
    )
    assert read(svg) == (
        "Accounts that churned, expected and happened",
        "2025-01-01: expected 30 (20 to 40), happened 44.",
    )


def test_hostile_names_stay_text() -> None:
    names = ["<script>alert(1)</script>", "$\\frac{1}{0}$", "\u202eRTL", "L" * 300, "a\nb\x1b[31m"]
    svg = bands_by_part_plot(names, BANDS, [[1, 0, 0]] * 5, "ARR", str, "key")
    _, told = read(svg)
    assert "<script>alert(1)</script>: at-risk 1.0" in told
    assert "<script" not in svg
    assert "L" * 27 + "…" in told
    assert "\u202e" not in told
    assert "\x1b" not in svg


def test_nothing_at_all_is_drawn_without_a_fault() -> None:
    read(bands_by_part_plot(["only"], BANDS, [[0, 0, 0]], "ARR", str, "key"))
    read(matured_plot(["2025-01-01"], [(0.0, 0.0, 0.0)], [0.0], "ARR lost", str, "key"))
