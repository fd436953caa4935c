from __future__ import annotations

import pytest

from features.outcomes.settings import WORDS
from models.weights.prior_share import PriorShare


def test_the_sentence_counts_accounts():
    share = PriorShare("scorecard", 1_200, 0.3, {})
    assert share.sentence(WORDS["expansion"]) == (
        "This first model is 70 % prior, your own scorecard, and 30 % learnt from 1,200 accounts"
        " that expanded"
    )


def test_it_is_read_back_as_it_was():
    share = PriorShare("equal weights", 0, 0.0, {"usage": 0.25})
    assert PriorShare.from_dict(share.to_dict()) == share


@pytest.mark.parametrize(
    "wrong",
    [{"learnt": 1.2}, {"learnt": float("nan")}, {"source": "an oracle"}, {"groups": {"usage": -1}}],
)
def test_what_is_no_share_is_refused(wrong):
    described = PriorShare("scorecard", 3, 0.5, {"usage": 0.5}).to_dict() | wrong
    with pytest.raises(ValueError, match="says no share of a prior"):
        PriorShare.from_dict(described)
