"""The decision, sentence by sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from pydantic import ValidationError

from models.drift.decision import Decision, decide
from models.drift.feed_faults import Fault
from models.drift.null import Movement
from models.drift.performance import Expected, ExpectedChange, Matured
from models.drift.policy import DriftPolicy
from models.drift.statistics import Drift, DriftStatistics
from models.measures.estimate import Estimate
from models.measures.recalibration import Recalibration

AS_OF, TRAINED = date(2025, 11, 1), date(2025, 8, 1)
MOVED = Movement(0.5, 0.02, 0.04, -0.2, 0.1, 0.4, None, None, 1e-9, "shift")
MATURED = Matured(
    "all",
    3_000,
    90,
    0.02,
    0.03,
    0.025,
    0.036,
    Recalibration(Estimate(0.4, 0.3, 0.5), Estimate(1.0, 0.9, 1.1)),
    0.01,
    0.002,
    offset_p=1e-4,
)


def drift(name: str = "usage", segment: str = "all", **changes: object) -> Drift:
    given = {"rows": 500, "movement": MOVED, "weight": 0.08, "adjusted": 1e-6} | changes
    return Drift(name, segment, **given)  # type: ignore[arg-type]


def found(
    *signals: Drift, score: tuple[Drift, ...] = (), mix: Drift | None = None, as_of: date = AS_OF
) -> DriftStatistics:
    return DriftStatistics(as_of, 500, signals, score, mix)


def decided(
    statistics: DriftStatistics, policy: DriftPolicy | None = None, **given: object
) -> Decision:
    told = {"faults": (), "trained_on": TRAINED} | given
    faults = told.pop("faults")
    return decide(statistics, faults, policy or DriftPolicy(), **told)  # type: ignore[arg-type]


def test_nothing_is_ok() -> None:
    result = decided(found(drift(adjusted=0.2)))
    assert result.status == "ok"
    assert result.reasons == ("Nothing moved further than chance and season move it.",)
    assert json.loads(json.dumps(result.to_dict()))["drifted_weight"] == {"all": 0.0}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (drift(), "Signal 'usage' is lower than before (it carries 8.0% of the weight)."),
        (
            drift(movement=replace(MOVED, shift=0.1)),
            "Signal 'usage' is higher than before (it carries 8.0% of the weight).",
        ),
        (
            drift(segment="<b>pro</b>", movement=replace(MOVED, found_by="shape")),
            "Signal 'usage' in '<b>pro</b>' is spread otherwise than before (it carries 8.0% of "
            "the weight).",
        ),
        (
            drift(movement=replace(MOVED, found_by="missing")),
            "Signal 'usage' is missing for 40% of accounts, formerly 10% (it carries 8.0% of the "
            "weight).",
        ),
        (
            drift(movement=replace(MOVED, found_by="new names", other=0.2)),
            "Signal 'usage' has a name never seen before for 20% of accounts (it carries 8.0% of "
            "the weight).",
        ),
    ],
)
def test_a_light_signal_is_watched(one: Drift, said: str) -> None:
    result = decided(found(one))
    assert (result.status, result.reasons) == ("watch", (said,))


@pytest.mark.parametrize(
    "one",
    [drift(adjusted=0.06), drift(weight=0.001), drift(movement=replace(MOVED, psi=0.03))],
)
def test_what_is_unsure_weightless_or_small_is_left_unsaid(one: Drift) -> None:
    assert decided(found(one)).status == "ok"


def test_the_score_and_the_mix_are_watched() -> None:
    small = replace(MOVED, psi=0.08)
    result = decided(
        found(score=(drift("score", weight=1.0, movement=small),), mix=drift("segment", weight=1.0))
    )
    assert result.status == "watch"
    assert result.reasons == (
        "The mix of segments is not the one the champion learnt from.",
        "The score is lower than before (stability index 0.08).",
    )


def test_many_signals_are_counted_rather_than_listed() -> None:
    light = [drift(f"s{i}", weight=0.01) for i in range(9)]
    assert decided(found(*light)).reasons[-1] == "3 more signals or segments moved."


def test_heavy_signals_and_scores_are_retrained() -> None:
    result = decided(
        found(drift(), drift("tickets", weight=0.05), score=(drift("score", "small", weight=1.0),))
    )
    assert result.status == "retrain"
    assert result.reasons == (
        "Scores in 'small' are lower than those the champion learnt from (stability index 0.50).",
        "13% of the weight of all accounts rests on signals that moved far: 'usage', 'tickets'.",
    )
    assert result.drifted_weight == {"all": 0.13}


def test_one_segment_is_enough() -> None:
    result = decided(found(drift(segment="small", weight=0.4)))
    assert result.reasons == (
        "40% of the weight in 'small' rests on signals that moved far: 'usage'.",
    )


def test_what_lasts_needs_half_the_size_and_half_the_weight() -> None:
    small = drift(weight=0.06, movement=replace(MOVED, psi=0.08))
    began = {("usage", "all"): date(2025, 10, 4)}
    assert decided(found(small)).status == "watch"
    result = decided(found(small), since=began)
    assert result.status == "retrain"
    assert result.reasons == (
        "6% of the weight of all accounts rests on signals that moved far or for 28 days or more: "
        "'usage'.",
    )
    assert result.drifted_weight == {"all": 0.06}


@pytest.mark.parametrize(
    ("one", "began"),
    [
        (drift(weight=0.06), date(2025, 10, 5)),
        (drift(weight=0.04), date(2025, 1, 1)),
        (drift(weight=0.06, movement=replace(MOVED, psi=0.06)), date(2025, 1, 1)),
        (drift(weight=0.06, segment="small"), date(2025, 1, 1)),
        (drift(weight=0.06, adjusted=0.02), date(2025, 1, 1)),
    ],
)
def test_what_is_new_light_small_elsewhere_or_unsure_does_not_last(one: Drift, began: date) -> None:
    assert decided(found(one), since={("usage", "all"): began}).status == "watch"


def test_what_is_no_longer_noticed_does_not_last() -> None:
    gone = drift(weight=0.5, adjusted=0.06)
    assert decided(found(gone), since={("usage", "all"): date(2025, 1, 1)}).status == "ok"


def test_a_score_that_stays_lower_is_retrained() -> None:
    one = drift("score", weight=1.0, movement=replace(MOVED, psi=0.08))
    result = decided(found(score=(one,)), since={("score", "all"): date(2025, 9, 1)})
    assert (result.status, result.reasons) == (
        "retrain",
        (
            "Scores are lower than those the champion learnt from (stability index 0.08, for 28 "
            "days or more).",
        ),
    )
    assert decided(found(score=(one,))).status == "watch"


def test_far_and_lasting_signals_count_together() -> None:
    result = decided(
        found(
            drift(weight=0.07),
            drift("tickets", weight=0.04, movement=replace(MOVED, psi=0.08)),
        ),
        since={("tickets", "all"): date(2025, 9, 1)},
    )
    assert result.drifted_weight == {"all": 0.11}
    assert result.reasons == (
        "11% of the weight of all accounts rests on signals that moved far or for 28 days or more: "
        "'usage', 'tickets'.",
    )


def test_outcomes_retrain_whatever_the_signals_do() -> None:
    turned = replace(
        MATURED,
        segment="small",
        offset_p=1.0,
        slope_p=1e-5,
        recalibration=Recalibration(Estimate(0, -1, 1), Estimate(0.3, 0.1, 0.5)),
    )
    result = decided(found(), matured=(MATURED, turned))
    assert result.status == "retrain"
    assert result.reasons == (
        "Outcomes differ from what was expected: 3.0% happened (2.5% to 3.6%), 2.0% were expected.",
        "The signals predict outcomes otherwise than they did in 'small': the probabilities are "
        "too bold (calibration slope 0.30 instead of 1).",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"positives": 29},
        {"offset_p": 0.02},
        {"recalibration": Recalibration(Estimate(0.2, 0.1, 0.3), Estimate(1.0, 0.9, 1.1))},
        {"recalibration": Recalibration()},
    ],
)
def test_outcomes_that_are_few_unsure_or_near_do_not(changes: dict[str, object]) -> None:
    assert decided(found(), matured=(replace(MATURED, **changes),)).status == "ok"


def test_a_harder_ranking_is_watched() -> None:
    now = Expected(500, 0.03, 0.1, 0.66, 0.01, 0.01)
    harder = ExpectedChange((now,), now, 0.1, 0.2, 0.72, 0.78, auc_p=1e-4)
    result = decided(found(), expected=harder)
    assert (result.status, result.reasons) == (
        "watch",
        (
            "Accounts are harder to tell apart: an AUC of 0.66 is to be expected, formerly 0.72 to "
            "0.78.",
        ),
    )
    for unsure in (
        replace(harder, auc_p=0.1),
        replace(harder, auc_low=None),
        replace(harder, auc_low=0.64, auc_high=0.70),
    ):
        assert decided(found(), expected=unsure).status == "ok"


def test_a_broken_feed_outranks_everything() -> None:
    fault = Fault("stopped-table", "tickets", (), None, "Table 'tickets' has stopped.")
    result = decided(
        found(drift(weight=0.5)), faults=(fault,), matured=(MATURED,), trained_on=date(2020, 1, 1)
    )
    assert result.status == "broken-feed"
    assert result.reasons == (
        "Table 'tickets' has stopped.",
        "Nothing is retrained until the feeds are repaired.",
    )
    assert result.to_dict()["faults"][0]["kind"] == "stopped-table"


def test_the_cool_down_turns_retrain_into_watch() -> None:
    statistics = found(drift(weight=0.5))
    waiting = decided(statistics, trained_on=date(2025, 10, 20))
    assert waiting.status == "watch"
    assert waiting.reasons[0] == (
        "The champion is 12 days old: retraining waits until it is 30 days old."
    )
    assert waiting.reasons[1].startswith("50% of the weight of all accounts")
    assert decided(statistics, trained_on=date(2025, 10, 2)).status == "retrain"


def test_age_forces_retraining() -> None:
    result = decided(found(), trained_on=date(2024, 11, 1))
    assert (result.status, result.reasons) == (
        "retrain",
        ("The champion is 365 days old, and the policy retrains it at 365.",),
    )
    assert decided(found(), trained_on=date(2024, 11, 2)).status == "ok"


def test_a_clock_going_backwards_decides_nothing() -> None:
    result = decided(found(drift(weight=0.9)), trained_on=date(2025, 11, 2))
    assert (result.status, result.reasons) == (
        "watch",
        (
            "The champion was trained on 2025-11-02, after 2025-11-01: nothing was decided; check "
            "the date and the machine's clock.",
        ),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"watch_chance": 0.0}, "watch_chance\n  Input should be greater than 0"),
        ({"retrain_weight": 1.5}, "retrain_weight\n  Input should be less than 1"),
        ({"rate_change": float("nan")}, "rate_change\n  Input should be a finite number"),
        ({"lasting_days": 0}, "lasting_days\n  Input should be greater than or equal to 1"),
        ({"cool_down_days": -1}, "cool_down_days\n  Input should be greater than or equal to 0"),
        ({"maximum_age_days": 30}, "maximum_age_days must exceed cool_down_days, and is 30"),
    ],
)
def test_a_policy_out_of_range_is_said(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DriftPolicy(**given)  # type: ignore[arg-type]
