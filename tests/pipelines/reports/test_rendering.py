from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, UndefinedError
from scipy.special import logit

from models.scoring.scale import ScoreScale
from pipelines.reports.rendering import environment
from pipelines.reports.wording import between, money, name, percent, told, usual_words
from tests.pipelines.reports.page import Page


def test_whatever_a_template_is_called_it_escapes():
    assert environment().autoescape is True
    made = environment().from_string("{{ text }}")
    assert made.render(text="<b>&") == "&lt;b&gt;&amp;"


def test_what_is_asked_for_in_vain_is_an_error():
    assert environment().undefined is StrictUndefined
    with pytest.raises(UndefinedError, match="'absent' is undefined"):
        environment().from_string("{{ absent }}").render()


@given(st.text())
def test_a_name_is_one_isolated_element_of_text(text):
    page = Page(str(name(text)))
    assert page.tags == {"bdi": 1}
    assert page.text
    assert page.text.isprintable()


@given(st.text())
def test_a_sentence_adds_no_element_but_one_that_breaks_long_words(text):
    page = Page(f"<p>{told(text)}</p>")
    assert set(page.tags) <= {"p", "span"}
    long_word = max((len(word) for word in page.text.split()), default=0) > 24
    assert page.tags["span"] == long_word


@given(st.floats(1, 1e11))
def test_money_is_written_to_three_figures(amount):
    written = money(amount).replace(",", "")
    digits, _, unit = written.partition("\u202f")
    value = float(digits) * {"": 1, "k": 1e3, "M": 1e6, "bn": 1e9}[unit]
    # Below a thousand, to the whole.
    assert value == pytest.approx(amount, rel=0.0051, abs=0.5 if amount < 1000 else 0)


@given(st.floats(0, 1))
def test_a_share_is_written_as_close_as_it_says(share):
    written = percent(share)
    assert float(written.removesuffix("\u202f%")) == pytest.approx(100 * share, abs=0.0501)


def test_an_interval_of_one_number_is_that_number():
    assert between(2.0, 2.0) == "about 2"
    assert between(float("nan"), 2.0) == "not known"


@pytest.mark.parametrize("good", [False, True])
@pytest.mark.parametrize("kind", range(5))
def test_the_risk_that_scores_50_follows_from_what_was_issued(good: bool, kind: int) -> None:
    anchors = (0.05, 0.08, 0.1, 0.2, 0.3)
    cuts = (0.03, 0.02) if good else (0.1, 0.04)
    scale = ScoreScale(0.05, *cuts, good=good, term_anchors=anchors)
    for risk in (0.06, 0.15):
        own = float(logit(risk) - scale.shift(np.array([kind]))[0])
        said = usual_words(scale, float(scale.score(np.array([own]))[0]), risk)
        assert said is not None
        assert percent(anchors[kind]) in said


@pytest.mark.parametrize(
    ("score", "risk"), [(0.0, 0.9), (100.0, 0.001), (40.0, None), (40.0, math.nan), (40.0, 1.0)]
)
def test_where_the_risk_that_scores_50_cannot_be_told_nothing_is_said(score, risk) -> None:
    anchors = (0.05, 0.08, 0.1, 0.2, 0.3)
    assert usual_words(ScoreScale(0.05, 0.1, 0.04, term_anchors=anchors), score, risk) is None
    assert usual_words(ScoreScale(0.05, 0.1, 0.04), 40.0, 0.1) is None
