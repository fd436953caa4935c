from __future__ import annotations

from dataclasses import replace

import pytest

from models.measures.estimate import Estimate
from models.scorecard.advice import Advice, Extremes, SegmentAdvice
from pipelines.weights.recommend import Effect, Recommended
from pipelines.weights.report.sections_replay import replay_sentence
from pipelines.weights.report.words import changes_of, gain_of, headline, reason
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY


def _end(rate: float) -> dict:
    return {"rows": 100, "positives": round(100 * rate), "observed_rate": rate}


def _line(verdict="raise", why="learnt", worst=0.062, best=0.02, measure="usage") -> Advice:
    extremes = Extremes(_end(worst), _end(best)) if why != "no data" else None
    return Advice(
        measure, 20, {"raise": 30, "lower": 8}.get(verdict, 20), 28, 18, 27, verdict, why, extremes
    )


def _segment(*lines: Advice, enough=True, segment="all") -> SegmentAdvice:
    return SegmentAdvice(segment, lines, enough, False, 1000, 60)


def _effect(more=12.0, low=3.0, high=25.0, red=0.107) -> Effect:
    gain = Estimate.of(more, (low, high))
    return Effect("all", 120.0, 48.0, 48.0 + more, gain, None, Estimate(), 50, 0.107, red)


@pytest.mark.parametrize(
    ("worst", "best", "told"),
    [
        (0.062, 0.02, "Accounts in the worst fifth churned 3.1 times as often as those in the best"
         " (6.2 % against 2.0 %)"),
        (0.02, 0.02, "Accounts in the worst fifth churned about as often as those in the best"
         " (2.0 % against 2.0 %)"),
        (0.02, 0.062, "Accounts in the worst fifth churned less often than those in the best"
         " (2.0 % against 6.2 %)"),
        (0.3, 0.01, "Accounts in the worst fifth churned more than 10 times as often as those in"
         " the best (30.0 % against 1.0 %)"),
        (0.05, 0.0, "Of the accounts in the worst fifth 5.0 % churned, of those in the best none"),
        (0.0, 0.0, "No account in the worst or the best fifth churned"),
    ],
)  # fmt: skip
def test_the_worst_are_compared_with_the_best(worst, best, told):
    found = reason(_line(worst=worst, best=best), "churned", good=False)
    assert found.replace("\u202f", " ") == (
        f"{told}. Beside the other measures it tells more than its weight says."
    )


def test_of_good_news_the_best_are_compared_with_the_worst():
    found = reason(_line(worst=0.02, best=0.062), "expanded", good=True)
    assert found.startswith(
        "Accounts in the best fifth expanded 3.1 times as often as those in the"
    )


@pytest.mark.parametrize(
    ("verdict", "why", "told"),
    [
        ("lower", "learnt", "Beside the other measures it tells less than its weight says."),
        ("raise", "makes room", "Takes what others give. "),
        ("lower", "makes room", "Gives to those that rise. "),
        ("keep", "as it should be", "Outcomes ask for about as much. "),
        ("keep", "not enough evidence", "Not enough evidence to change it. "),
        ("keep", "no data", "No data: no table tells of it, so it moves no score."),
    ],
)
def test_every_reason_has_its_words(verdict, why, told):
    assert told in reason(_line(verdict, why), "churned", good=False)


def test_changes_come_by_their_size_and_the_rest_in_a_word():
    advice = _segment(
        _line("keep", "as it should be", measure="a"),
        _line("raise", measure="b"),
        _line("lower", measure="c"),
    )
    found = changes_of(advice)
    assert found.index("<bdi>c</bdi>") < found.index("<bdi>b</bdi>")
    assert "<bdi>a</bdi>" not in found
    assert "the other one as it is" in found


@pytest.mark.parametrize(
    ("lines", "enough", "told"),
    [
        ((_line("keep", "not enough evidence"),), False, "all: not enough evidence to change one"),
        ((_line("keep", "not enough evidence"),), True,
         "all: outcomes do not speak against them clearly enough"),
        ((_line("keep", "as it should be"),), True, "all: they are as outcomes ask for"),
    ],
)  # fmt: skip
def test_a_segment_that_keeps_all_says_why(lines, enough, told):
    assert changes_of(_segment(*lines, enough=enough)).endswith(told)


@pytest.mark.parametrize(
    ("effect", "end"),
    [
        (
            _effect(),
            "of the 50 that churned on the replayed dates, 25 instead of 20 would have been red in"
            " time, with as many accounts red as today (10.7\u202f%)",
        ),
        (
            _effect(red=0.109),
            "would have been red in time, with 10.9\u202f% of accounts red instead of 10.7\u202f%",
        ),
        (_effect(2.0, -3.0, 9.0), "(10.7\u202f%), though that gain is not certain yet"),
        (_effect(-1.0, -6.0, 3.0), "though it would not yet have found more accounts"),
        (_effect(float("nan")), "Change 1 of the 2 weights"),
    ],
)
def test_the_headline_claims_no_more_than_was_shown(recommended: Recommended, effect, end):
    advice = {"all": _segment(_line(), _line("keep", "as it should be"))}
    found = headline(replace(recommended, advice=advice, effects={"all": effect}))
    assert found.startswith("Change 1 of the 2 weights")
    assert found.endswith(end)


@pytest.mark.parametrize(
    ("enough", "told"),
    [
        (True, "Keep every weight: past churn gives no good reason to change one"),
        (False, "Keep every weight: there is not enough evidence to change one"),
    ],
)
def test_the_headline_says_when_nothing_changes(recommended: Recommended, enough, told):
    kept = _segment(_line("keep", "not enough evidence"), enough=enough)
    assert headline(replace(recommended, advice={"all": kept})) == told


def test_gains_are_written_with_their_signs():
    assert "<strong>+12</strong>" in gain_of(_effect())
    assert "(−6 to +3)" in gain_of(_effect(-1.0, -6.0, 3.0))
    assert gain_of(None) == gain_of(_effect(float("nan"))) == "not known"


@pytest.mark.parametrize(
    ("advised", "told"),
    [
        (0.364, "today's weights and the recommended ones were red in 36 %, and the health score"),
        (0.40, "today's weights were red in 36 %, the recommended ones in 40 % (a difference that"),
    ],
)
def test_weights_that_see_as_much_are_told_in_one(advised, told):
    row = {"positives": 11, "caught_ahead_low": -0.1, "caught_ahead_high": 0.2}
    lines = {
        name: row | {"caught": caught}
        for name, caught in ((TODAY, 0.36), (RECOMMENDED, advised), (FULL_MODEL, 0.27))
    }
    said = replay_sentence(lines, "churn", good=False).replace("\u202f", " ")
    assert said.startswith(f"Of 11 cases of churn, {told}")
