"""What the appendix says of parts that cannot be shown, and of signals of the user's own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.catalog import Signal
from models.measures.estimate import Estimate
from pipelines.weights.evidence_ratings import OBJECTIVE, rating_evidence
from pipelines.weights.evidence_referrals import BESIDE, referrals_beside_surveys
from tests.pipelines.weights.conftest import SEED

pytestmark = pytest.mark.xdist_group("evidence")

HOSTILE = "<script>alert(1)</script>"
STARTER = "plan=[/bold]\x1b[31mstarter"


def test_what_is_missing_is_said(known):
    assert known.found.backtest is None
    assert known.found.notes[-1] == (
        "No backtest was logged; 'healthscore backtest' tests on rolling origins"
    )


@pytest.fixture(scope="module")
def bare(known):
    """The same company had it no events, no attribute named, no rating and no registry."""
    rows, frame = (t.drop(columns="rating_overall") for t in (known.rows, known.frame))
    stayed = (rows["happened"] == 0) & ((rows["happened"] == 0).cumsum() <= 40)
    nobody = {"nps_last": np.nan, "referrals_365d": np.nan}
    registry = known.project.settings.registry.model_copy(update={"folder": "nowhere"})
    signals = known.project.settings.signals.model_copy(update={"sensitive": ()})
    settings = known.project.settings.model_copy(update={"signals": signals, "registry": registry})
    return known.ask(
        project=replace(known.project, settings=settings),
        rows=rows.assign(**nobody, segment=rows["segment"].where(~stayed, HOSTILE)),
        frame=frame.assign(**nobody),
        events=None,
    )


def test_each_part_that_cannot_be_shown_is_left_out_with_a_reason(bare, known):
    assert HOSTILE not in bare.calibration
    assert bare.segment_metrics[HOSTILE].rows == 40
    assert bare.lead.empty
    assert bare.audit.empty
    assert bare.ratings is None
    assert bare.backtest is None
    nowhere = known.project.path.parent / "nowhere"
    for text in (
        f"Whether probabilities hold cannot be shown for {HOSTILE!r}, {STARTER!r}: fewer than 20"
        " outcomes were held out there",
        "How early the score warned cannot be shown: no churn has a day of its own",
        "No ratings are shown: no table holds them, or their group is switched off",
        "What 'Referrals made' predicts alone cannot be shown: it is known in 0 rows, of which 0"
        " had the outcome",
        "What 'Last NPS answer' predicts alone cannot be shown: it is known in 0 rows, of which 0"
        " had the outcome",
        "Nothing was audited for fairness: [signals] sensitive names no attribute of the accounts",
        f"No backtest is shown: No champion of 'healthscore' was found in the registry"
        f" '{nowhere}'; train a model first",
    ):
        assert text in bare.notes
    signals = [entry["signal"] for entry in bare.referrals_vs_nps]
    assert "referrals_365d" not in signals
    assert "nps_last" not in signals
    for entry in bare.referrals_vs_nps:
        assert [entry[name] for name in BESIDE] == [None] * len(BESIDE)
        assert entry["auc"] is not None


def test_companies_without_surveys_or_referrals_say_so(known):
    notes: list[str] = []
    others = [s for s in known.signals if s.group not in ("surveys", "referrals")]
    assert referrals_beside_surveys(known.model, known.frame, others, notes, seed=SEED) == []
    assert notes == [
        "What referrals predict alone cannot be shown: no signal tells of them",
        "What surveys predict alone cannot be shown: no signal tells of them",
    ]


def test_a_signal_of_the_users_own_speaks_for_the_group_it_is_in(known):
    own = [
        Signal("usage_28d", "surveys", "count", "higher", HOSTILE, 28, ""),
        Signal("never", "referrals", "count", "none", HOSTILE, 28, ""),
        Signal("referrals_365d", "referrals", "category", "none", HOSTILE, 28, ""),
    ]
    notes: list[str] = []
    frame = known.frame.assign(never=1.0)
    [found] = referrals_beside_surveys(known.model, frame, own, notes, seed=SEED)
    assert (found["signal"], found["label"], found["other"]) == ("usage_28d", HOSTILE, None)
    assert found["auc"] == pytest.approx(roc_auc_score(frame["happened"], -frame["usage_28d"]))
    assert notes == ["What referrals predict alone cannot be shown: no signal tells of them"]
    lost = replace(own[1], name="referrals_365d")
    frame = frame.assign(referrals_365d=1.0)
    model = replace(known.model, signals=(), shap=None)
    notes = []
    assert referrals_beside_surveys(model, frame, [lost], notes, seed=SEED) == []
    assert notes == [
        f"What {HOSTILE!r} predicts alone cannot be shown: neither you nor the data say which way"
        " it is healthy",
        "What surveys predict alone cannot be shown: no signal tells of them",
    ]


def test_accounts_are_drawn_where_rows_are_many(known, monkeypatch):
    copies = math.ceil(110_000 / len(known.frame))
    names = ["account_id", "happened", "referrals_365d", "nps_last"]
    many = pd.concat(
        [
            known.frame[names].assign(account_id=known.frame["account_id"] + f" {copy}")
            for copy in range(copies)
        ]
    )
    some = [s for s in known.signals if s.name in names]
    found = referrals_beside_surveys(known.model, many, some, [], seed=SEED)
    whole = {entry["signal"]: entry for entry in known.found.referrals_vs_nps}
    assert 99_900 < found[0]["rows"] <= 100_000
    for entry in found:
        assert entry["auc"] == pytest.approx(whole[entry["signal"]]["auc"], abs=0.01)
    monkeypatch.setattr("models.backtest.signal_evidence.MOST_ROWS", 10)
    assert known.ask().notes[0] == (
        "What ratings, referrals and surveys predict alone is measured on accounts drawn by"
        f" chance, up to 10 of {len(known.frame):,} rows"
    )


def test_ratings_that_nothing_orients_or_nobody_gave_lately_still_count(known):
    silent = replace(
        known.model,
        signals=tuple(replace(s, healthy="none") for s in known.model.signals),
        certainty=replace(known.model.certainty, signals={}),
        shap=None,
    )
    notes: list[str] = []
    asked = (known.company, known.project, silent, known.rows, known.frame, np.arange(9))
    found = rating_evidence(*asked, known.signals, notes, seed=SEED)
    assert (found.rating, found.objective, found.measured) == (None,) * 3
    assert found.ahead == Estimate(None, None, None)
    assert found.raters == known.found.ratings.raters
    assert found.sentence.endswith("it is taken off before ratings count.")
    assert notes == [
        "What ratings predict cannot be shown: on the dates that judge the model too few were"
        " known, or nothing says which way they are healthy"
    ]
    early = known.rows.assign(observation_date=pd.Timestamp("2010-01-01"))
    asked = (known.company, known.project, known.model, early, known.frame, np.arange(9))
    notes = []
    assert rating_evidence(*asked, known.signals, notes, seed=SEED) is None
    assert notes == ["No ratings are shown: nobody rated an account in the year before 2010-01-01"]


def test_without_an_objective_measure_the_rating_stands_alone(known):
    own = [s for s in known.signals if s.group not in OBJECTIVE]
    asked = (known.company, known.project, known.model, known.rows, known.frame)
    found = rating_evidence(*asked, np.arange(9), own, [], seed=SEED)
    assert found.rating == known.found.ratings.rating
    assert (found.objective, found.measured) == (None,) * 2
    assert found.ahead == Estimate(None, None, None)
    assert found.sentence.endswith("where a coin is right in 50 %.")
