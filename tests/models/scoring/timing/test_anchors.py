"""Anchors by kind of term: rates counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.scoring.scale import ScaleSettings, ScoreScale, scale_of
from models.scoring.timing.anchors import term_anchors
from models.scoring.timing.decisions import KINDS, Decisions

WINDOW = Decisions(0, 31)


def rows(at_will: tuple[int, int], yearly: tuple[int, int]) -> pd.DataFrame:
    """So many rows of each kind, of which so many were lost."""
    parts = []
    for (count, lost), ahead, term in ((at_will, None, None), (yearly, 10.0, 365.0)):
        happened = np.arange(count) < lost
        own = {"days_to_renewal": ahead, "term_days": term, "happened": happened.astype(int)}
        parts.append(pd.DataFrame(own, index=range(count)))
    return pd.concat(parts, ignore_index=True).astype(float)


def test_each_kind_has_the_rate_of_its_decisions_and_rare_ones_that_of_all_dated() -> None:
    anchors, usual = term_anchors(WINDOW, rows((1000, 40), (200, 50)))
    assert dict(zip(KINDS, anchors, strict=True)) == {
        "at_will": 0.04,
        "quarter": 0.25,
        "half_year": 0.25,
        "year": 0.25,
        "years": 0.25,
    }
    assert usual == 0.25


def test_a_company_of_one_kind_has_one_anchor() -> None:
    for at_will, yearly in (((1000, 40), (0, 0)), ((1000, 40), (30, 9)), ((100, 3), (200, 50))):
        given = rows(at_will, yearly)
        assert term_anchors(WINDOW, given) == ((), given["happened"].mean())


def test_terms_are_told_apart_by_their_length() -> None:
    terms = pd.DataFrame(
        {
            "days_to_renewal": [None, 5, 200, 200, 200, 200, 200, 200],
            "term_days": [None, 30, 90, 180, 365, 1095, None, 0],
        }
    )
    assert [KINDS[kind] for kind in WINDOW.kinds(terms)] == [
        *("at_will", "at_will", "quarter", "half_year", "year", "years", "year", "year"),
    ]


def test_twice_the_odds_of_its_kind_is_at_the_same_limit() -> None:
    scale = ScoreScale(0.04, 0.0769, 0.0361, term_anchors=(0.04, 0.1, 0.15, 0.25, 0.3))
    odds = np.array([0.04 / 0.96, 0.25 / 0.75])
    kinds = np.array([0, 3])
    log_odds = np.log(2 * odds) - scale.shift(kinds)
    assert scale.score(log_odds) == pytest.approx([40.0, 40.0])
    assert scale.limits == pytest.approx((40.0, 51.5), abs=0.05)
    assert scale.position_of(np.array([39.9, 40.1, 51.4, 51.6])).tolist() == [0, 1, 1, 2]
    assert ScoreScale.from_dict(scale.to_dict()) == scale


def test_a_scale_is_filled_from_the_kind_that_lost_most() -> None:
    given = rows((1000, 60), (100, 20))
    scale = scale_of(None, given, WINDOW)
    assert scale.anchor_probability == 0.06
    assert scale.shift(np.array([0])).tolist() == [0.0]
    assert scale_of(ScaleSettings(term_anchors=(0.1,) * 5), given, None).term_anchors == ()
