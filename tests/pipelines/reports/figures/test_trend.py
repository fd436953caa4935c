from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import date, timedelta

import pytest

from pipelines.reports.figures.trend import BAND_LOOKS, account_plot, portfolio_plot

SVG = "{http://www.w3.org/2000/svg}"


def days(count):
    return [(date(2025, 1, 31) + timedelta(days=7 * step)).isoformat() for step in range(count)]


def words(text):
    picture = ET.fromstring(text)
    return [element.text for element in picture.iter(f"{SVG}text")]


@pytest.mark.parametrize("bands", [list(BAND_LOOKS)[:3], list(BAND_LOOKS)[3:]])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_legend_names_the_bands_that_occur_and_models_do_not_crowd(bands, count):
    scores = [
        {"as_of": day, "score": 2.5 * n, "band": bands[n % 3], "model_version": str(n)}
        for n, day in enumerate(days(count))
    ]
    changes = [
        {"as_of": day, "before": str(n), "after": str(n + 1)}
        for n, day in enumerate(days(count)[1:])
    ]
    trend = {"account_id": "A $\\frac{1$ & <b>", "scores": scores, "model_changes": changes}
    said = words(account_plot(trend, "churn"))
    assert "Health score of A $\\frac{1$ & <b> (churn)" in said
    assert set(said) & set(BAND_LOOKS) == {score["band"] for score in scores}
    assert len([word for word in said if word and word.startswith("model ")]) <= 9
    assert len([word for word in said if word and word.startswith("model ")]) == min(count - 1, 8)


def test_looks_differ_without_colour():
    """Whoever sees no colour tells the bands of an outcome by marker and by hatch."""
    for bands in (list(BAND_LOOKS)[:3], list(BAND_LOOKS)[3:]):
        assert len({BAND_LOOKS[band][1] for band in bands}) == 3
        assert len({BAND_LOOKS[band][2] for band in bands}) == 3


def test_money_has_a_panel_only_where_it_is_known():
    def run(day, mrr):
        bands = [
            {"band": band, "accounts": n, "mrr": mrr} for n, band in enumerate(list(BAND_LOOKS)[:3])
        ]
        return {"as_of": day, "mean_score": 50.0, "mrr": mrr, "bands": bands}

    for mrr, panels in (
        (None, ["Accounts", "Mean score"]),
        (9.5, ["Accounts", "MRR", "Mean score"]),
    ):
        trend = {"runs": [run(day, mrr) for day in days(3)], "model_changes": []}
        said = words(portfolio_plot(trend, "churn"))
        assert [word for word in said if word in ("Accounts", "MRR", "Mean score")] == panels
        assert said[-3:] == ["at-risk", "watch", "healthy"]
