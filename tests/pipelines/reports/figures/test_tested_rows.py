from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from models.measures.metrics import calibration_table
from pipelines.reports.figures.tested_rows import lift_plot, reliability_plot, score_plot
from tests.models.conftest import frame, result  # noqa: F401


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")
    axes = figure.axes[0]
    assert axes.get_title(loc="left")
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    return axes


def test_figures_of_a_holdout(result):  # noqa: F811
    axes = render(reliability_plot(result.calibration))
    assert len(axes.containers) == 1
    render(score_plot(result.holdout))
    render(lift_plot(result.holdout))


def test_lift_curve_ends_at_one_and_shows_the_tenth():
    holdout = pd.DataFrame({"probability": np.linspace(1, 0, 100), "happened": 0})
    holdout.loc[:4, "happened"] = 1
    holdout.loc[50:54, "happened"] = 1
    axes = render(lift_plot(holdout))
    x, y = axes.lines[0].get_data()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert axes.texts[0].get_text() == "the riskiest 10 % hold 50 % of positives"


@pytest.mark.parametrize("happened", [0, 1])
def test_one_outcome_still_draws(happened):
    holdout = pd.DataFrame({"probability": [0.1, 0.2], "score": [40, 60], "happened": happened})
    render(lift_plot(holdout))
    render(score_plot(holdout))
    render(reliability_plot(calibration_table(holdout["happened"], holdout["probability"])))
