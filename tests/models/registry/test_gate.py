"""The gate: what passes it, what never does, and what it says."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from features.outcomes.settings import WORDS
from models.drift.policy import PromotionRules
from models.measures.metrics import SMALLEST
from models.measures.resampling import TAILS
from models.registry.gate import Verdict, judge_challenger

SEEDS = range(50)
PLANS = np.array(["plan=starter", "plan=growth", "plan=enterprise"], dtype=object)
TREES = 40


def company(seed: int, accounts: int = 1300, months: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows whose champion knows the truth but for some noise, and the steps its margin is made of.

    The margin is a sum of forty shrunken steps, as a booster's is of trees. About 200 churn.
    """
    rng = np.random.default_rng(seed)
    n = accounts * months
    plan = np.tile(rng.choice(PLANS, accounts, p=[0.6, 0.25, 0.15]), months)
    signal = rng.normal(size=n)
    truth = -3.6 + 1.1 * signal + 0.4 * (plan == "plan=starter") + rng.normal(0, 0.4, n)
    steps = (truth + 3.6)[:, None] * 0.15 * 0.85 ** np.arange(TREES)
    rows = pd.DataFrame(
        {
            "account_id": np.tile(np.arange(accounts), months),
            "segment": plan,
            "happened": (rng.random(n) < expit(truth)).astype(int),
            "champion": expit(truth + rng.normal(0, 0.15, n)),
        }
    )
    return rows, steps


def noisy_labels(rows: pd.DataFrame, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three labels in ten drawn at random: what is learnt is three tenths nothing."""
    base = logit(rows["champion"].mean())
    return expit(base + 0.5 * (logit(rows["champion"]) - base) + rng.normal(0, 0.3, len(rows)))


def shuffled_signal(rows: pd.DataFrame, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(rows["champion"].to_numpy())


def shifted_intercept(
    rows: pd.DataFrame, steps: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    return expit(logit(rows["champion"]) + rng.choice([-0.6, 0.6]))


def half_of_the_trees(
    rows: pd.DataFrame, steps: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Every second tree is lost."""
    return expit(logit(rows["champion"]) - steps[:, ::2].sum(axis=1))


def wrong_segment(rows: pd.DataFrame, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Better than the champion but in one large segment, whose accounts are taken for others."""
    own = rows["segment"] == "plan=starter"
    margin = logit(rows["champion"]).to_numpy(copy=True)
    margin[own] = rng.permutation(margin[own])
    return expit(margin)


WORSE = (noisy_labels, shuffled_signal, shifted_intercept, half_of_the_trees, wrong_segment)


@pytest.mark.parametrize("harm", WORSE, ids=lambda harm: harm.__name__)
def test_what_was_made_worse_is_never_promoted(harm) -> None:
    for seed in SEEDS:
        rows, steps = company(seed)
        challenger = harm(rows, steps, np.random.default_rng([seed, 1]))
        verdict = judge_challenger(rows.assign(challenger=challenger), seed=seed)
        assert not verdict.promoted, (seed, verdict.reasons)
        assert verdict.reasons


def test_harm_in_one_segment_is_seen_though_all_others_gain() -> None:
    """The gate has to look into segments: overall these challengers are ahead."""
    ahead = refused = 0
    for seed in SEEDS[:15]:
        rng = np.random.default_rng([seed, 2])
        rows, _ = company(seed, accounts=2600)
        own = (rows["segment"] == "plan=growth").to_numpy()
        truth = logit(rows["champion"]).to_numpy()
        # The champion is poor but in one segment; the challenger is poor in that one alone.
        poor = truth + rng.normal(0, 1.2, len(rows))
        champion = expit(np.where(own, truth, poor))
        challenger = expit(np.where(own, rng.permutation(truth), truth))
        judged = rows.assign(champion=champion, challenger=challenger)
        verdict = judge_challenger(judged, seed=seed)
        ahead += verdict.judged[0].high < 0
        refused += not verdict.promoted
        assert any("In segment 'plan=growth'" in reason for reason in verdict.reasons)
    assert refused == 15
    assert ahead > 5


def test_what_is_clearly_better_is_promoted() -> None:
    better = 0
    for seed in SEEDS[:15]:
        rows, _ = company(seed)
        rng = np.random.default_rng([seed, 3])
        stale = expit(logit(rows["champion"]) * 0.8 + rng.normal(0, 0.7, len(rows)))
        verdict = judge_challenger(
            rows.assign(champion=stale, challenger=rows["champion"]), seed=seed
        )
        better += verdict.promoted
    assert better >= 14


def oracle(rows: pd.DataFrame, seed: int = 0, draws: int = 500) -> tuple[float, float, float]:
    """The paired cluster bootstrap, written out: accounts drawn, rows joined, losses averaged."""
    rng = np.random.default_rng(seed)
    groups = [part for _, part in rows.groupby("account_id", sort=False)]

    def loss(part: pd.DataFrame, name: str) -> pd.Series:
        risk = part[name].clip(SMALLEST, 1 - SMALLEST)
        return -(part["happened"] * np.log(risk) + (1 - part["happened"]) * np.log(1 - risk))

    scale = loss(rows, "champion").mean()
    found = []
    for _ in range(draws):
        drawn = pd.concat([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        found.append((loss(drawn, "challenger") - loss(drawn, "champion")).mean())
    low, high = np.quantile(found, TAILS)
    difference = (loss(rows, "challenger") - loss(rows, "champion")).mean()
    return difference / scale, low / scale, high / scale


def test_the_interval_is_that_of_a_paired_bootstrap_of_accounts() -> None:
    rows, _ = company(5, accounts=100)
    rows["champion"] = expit(logit(rows["champion"]) + 1.3)
    rows["happened"] = (np.arange(len(rows)) % 5 == 0).astype(int)
    rows = rows.assign(challenger=expit(logit(rows["champion"]) + 0.1))
    judged = judge_challenger(rows).judged[0]
    expected = oracle(rows)
    assert (judged.difference, judged.low, judged.high) == pytest.approx(expected, rel=1e-9)
    assert judged.accounts == 100
    assert judged.outcomes == rows["happened"].sum()


def test_rows_of_one_account_count_as_one() -> None:
    """Thirty copies of each row are no more evidence than one."""
    rows, _ = company(7, accounts=600, months=1)
    rng = np.random.default_rng(0)
    rows = rows.assign(challenger=expit(logit(rows["champion"]) + rng.normal(0, 0.4, len(rows))))
    rules = PromotionRules(min_outcomes=10)
    once = judge_challenger(rows, rules).judged[0]
    often = judge_challenger(pd.concat([rows] * 30, ignore_index=True), rules).judged[0]
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-0.5, 0.5), st.floats(0.3, 2.0))
def test_a_model_is_never_better_than_itself_nor_worse(seed: int, shift: float, slope: float):
    rng = np.random.default_rng(seed)
    risk = expit(rng.normal(-2, 1, 500))
    rows = pd.DataFrame(
        {
            "account_id": rng.integers(0, 300, 500),
            "segment": "all",
            "happened": (rng.random(500) < risk).astype(int),
            "champion": expit(shift + slope * logit(risk)),
        }
    )
    verdict = judge_challenger(
        rows.assign(challenger=rows["champion"]), PromotionRules(min_outcomes=10)
    )
    assert verdict.promoted
    assert (verdict.judged[0].low, verdict.judged[0].high) == (0, 0)


def one(rows: pd.DataFrame, **rules: float) -> Verdict:
    # Also rules that no configuration may set.
    return judge_challenger(rows, PromotionRules.model_construct(**rules))


def test_too_few_outcomes_promote_nobody_and_say_so() -> None:
    rows, _ = company(1, accounts=250)
    rows = rows.assign(challenger=rows["happened"] * 0.98 + 0.01)
    count = int(rows["happened"].sum())
    assert count < 50
    verdict = judge_challenger(rows)
    assert (verdict.promoted, verdict.judged) == (False, [])
    assert verdict.reasons == [
        f"Of the 750 newest rows that neither model has seen, {count} churned, and judging needs"
        " 50 at least: wait until more outcomes have matured."
    ]
    turned = rows.assign(happened=1 - rows["happened"])
    said = judge_challenger(turned, words=WORDS["adoption"]).reasons[0]
    assert f"{count} have not adopted, and judging needs 50" in said
    assert not judge_challenger(rows.iloc[:0]).promoted


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.5, np.inf])
def test_a_challenger_that_gives_no_probability_is_refused(value: float) -> None:
    rows, _ = company(1)
    rows["challenger"] = rows["champion"]
    rows.loc[[3, 5], "challenger"] = value
    verdict = judge_challenger(rows)
    assert not verdict.promoted
    assert verdict.reasons == ["The challenger gives no probability for 2 of 3,900 rows."]


def test_the_words_of_a_refusal() -> None:
    rows, _ = company(1)
    churned = int(rows["happened"].sum())
    shifted = rows.assign(challenger=expit(logit(rows["champion"]) + 0.8))
    verdict = judge_challenger(shifted)
    where = f"On 3,900 rows that neither model has seen, {churned} of which churned, the challenger"
    assert verdict.reasons[0].startswith(f"{where}'s prediction error (log loss) is ")
    assert verdict.reasons[0].endswith(" above, which is more than chance explains.")
    expects = next(reason for reason in verdict.reasons if " expects " in reason)
    mean = shifted["challenger"].mean()
    assert expects == (
        f"{where} expects {100 * mean:.2f} % on average and"
        f" {100 * rows['happened'].mean():.2f} % churned, which is more than chance explains; the"
        f" champion is nearer with {100 * rows['champion'].mean():.2f} %."
    )
    bold = judge_challenger(rows.assign(challenger=expit(logit(rows["champion"]) * 1.6 + 1.6)))
    slopes = [reason for reason in bold.reasons if "too bold (slope " in reason]
    assert slopes
    assert "where 1 is right), more than chance explains; the champion is nearer" in slopes[0]
    timid = judge_challenger(rows.assign(challenger=expit(logit(rows["champion"]) * 0.6 - 1.3)))
    assert any("too timid (slope " in reason for reason in timid.reasons)


def test_not_sure_enough_is_said_with_the_limit() -> None:
    rows, _ = company(2, accounts=700)
    rng = np.random.default_rng(8)
    rows = rows.assign(challenger=expit(logit(rows["champion"]) + rng.normal(0, 0.25, len(rows))))
    found = one(rows, tolerance=0.0, calibration_tolerance=9, segment_rows=10**9)
    assert found.judged[0].low < 0 < found.judged[0].high
    assert found.reasons[0].endswith(
        "; promotion needs 0.0 % at most to be sure that it is no worse."
    )
    tolerant = one(rows, tolerance=0.9, calibration_tolerance=9, segment_rows=10**9)
    assert tolerant.promoted
    assert tolerant.reasons[0].endswith(": it is no worse, and well calibrated.")


def test_shown_to_be_worse_never_passes_however_tolerant_the_rules_are() -> None:
    rows, _ = company(3)
    rows = rows.assign(challenger=expit(logit(rows["champion"]) * 0.5 - 1.2))
    found = one(rows, tolerance=9, segment_tolerance=9, calibration_tolerance=9)
    assert found.judged[0].low > 0
    assert not found.promoted


def test_which_segments_are_judged_by_themselves() -> None:
    rows, _ = company(4)
    counts = rows.groupby("segment")["happened"].agg(["size", "sum"])
    found = one(rows.assign(challenger=rows["champion"]), segment_rows=700, segment_outcomes=30)
    large = counts[(counts["size"] >= 700) & (counts["sum"] >= 30)].index
    assert 0 < len(large) < 3
    assert [part.segment for part in found.judged] == ["all", *large]
    assert [part.tolerance for part in found.judged] == [0.005, *[0.05] * len(large)]
    alone = one(rows.assign(segment="all", challenger=rows["champion"]))
    assert [part.segment for part in alone.judged] == ["all"]


def test_a_hostile_segment_is_quoted_and_cut() -> None:
    rows, _ = company(6)
    name = "plan=<script>alert(1)</script>\x1b[31m" + "A" * 300
    rows["segment"] = np.where(rows["segment"] == "plan=starter", name, "plan=b")
    rows["challenger"] = np.random.default_rng(0).permutation(rows["champion"])
    reasons = judge_challenger(rows).reasons
    hostile = [reason for reason in reasons if "<script>" in reason]
    assert hostile
    assert all("\x1b" not in reason and len(reason) < 400 for reason in hostile)


def test_the_verdict_is_json_and_the_same_every_time() -> None:
    rows, _ = company(9)
    rows["challenger"] = expit(logit(rows["champion"]) + 0.05)
    first, second = judge_challenger(rows, seed=3), judge_challenger(rows, seed=3)
    assert first == second
    told = json.loads(json.dumps(first.to_dict(), allow_nan=False))
    assert told["judged"][0]["challenger"]["offset"] == pytest.approx(
        first.judged[0].challenger.offset.value
    )


def test_a_first_model_is_followed_by_one_that_is_not_behind_it() -> None:
    rows, _ = company(1, accounts=250)
    assert 5 <= rows["happened"].sum() < 50
    ahead = rows.assign(champion=rows["happened"].mean(), challenger=rows["champion"])
    assert not judge_challenger(ahead).promoted
    found = judge_challenger(ahead, is_first=True)
    assert found.promoted
    assert found.reasons[0].endswith(": it follows the first model.")
    behind = rows.assign(challenger=rows["happened"].mean())
    refused = judge_challenger(behind, is_first=True)
    assert not refused.promoted
    assert refused.reasons[0].endswith("; a first model is followed by one that is not behind it.")


def test_fewer_than_five_outcomes_say_nothing_even_of_a_first_model() -> None:
    rows, _ = company(1, accounts=250)
    few = rows.assign(happened=0, challenger=rows["champion"])
    few.loc[:3, "happened"] = 1
    (reason,) = judge_challenger(few, is_first=True).reasons
    assert "4 churned, and judging needs 5 at least: wait" in reason
