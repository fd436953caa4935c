"""Effects on those acted on, against loops over every row and companies whose truth is known."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from scipy.special import expit

from models.plays.doubly_robust import (
    HIDDEN_SHARE,
    MOST_LIKELY,
    Comparison,
    compare,
    mean_difference,
)

RNG = np.random.default_rng(4)
ROWS = 60


def drawn(rows: int = ROWS, *, seed: int = 4):
    """Rows of a company: outcome, acted, risk, chance and account."""
    rng = np.random.default_rng(seed)
    risk, chance = rng.uniform(0.1, 0.6, rows), rng.uniform(0.1, 0.98, rows)
    acted = rng.random(rows) < chance
    outcome = (rng.random(rows) < risk).astype(float)
    return outcome, acted, risk, chance, rng.integers(0, rows // 3, rows)


def by_hand(outcome, acted, risk, chance, cluster) -> dict[str, float]:
    """Write the formula out, one row at a time."""
    kept = [i for i in range(len(outcome)) if chance[i] <= 0.9]
    ones = [i for i in kept if acted[i]]
    zeros = [i for i in kept if not acted[i]]
    odds = {i: chance[i] / (1 - chance[i]) for i in zeros}
    total = sum(odds.values())
    off = sum(odds[i] * (outcome[i] - risk[i]) for i in zeros) / total
    without = sum(risk[i] for i in ones) / len(ones) + off
    with_play = sum(outcome[i] for i in ones) / len(ones)
    high, low = with_play + 0.5 / len(ones), without + 0.5 / len(ones)
    by_account: dict[int, float] = defaultdict(float)
    mean_risk = sum(risk[i] for i in ones) / len(ones)
    for i in ones:
        by_account[cluster[i]] += (outcome[i] - with_play) / len(ones) / high
        by_account[cluster[i]] -= (risk[i] - mean_risk) / len(ones) / low
    for i in zeros:
        by_account[cluster[i]] -= odds[i] * (outcome[i] - risk[i] - off) / total / low
    count = len({cluster[i] for i in kept})
    spread = sum(value**2 for value in by_account.values()) * count / (count - 1)
    floor = 1 / (with_play * len(ones) + 0.5)
    floor += sum(odds[i] ** 2 * risk[i] * (1 - risk[i]) for i in zeros) / (total * low) ** 2
    return {
        "treated": len(ones),
        "with_play": with_play,
        "without": without,
        "log_ratio": math.log(high / low),
        "error": math.sqrt(max(spread, floor)),
        "controls": total**2 / sum(value**2 for value in odds.values()),
        "overlap": len(ones) / int(sum(acted)),
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_comparison_is_the_formula_written_out(seed: int) -> None:
    rows = drawn(seed=seed)
    found = compare(*rows)
    assert found is not None
    for name, value in by_hand(*rows).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name
    assert found.effect == found.with_play - found.without
    assert found.hidden == HIDDEN_SHARE * found.adjustment


def test_rows_that_are_nearly_always_acted_on_are_left_out() -> None:
    outcome, acted, risk, chance, cluster = drawn(300)
    found = compare(outcome, acted, risk, chance, cluster)
    chance = np.where(chance > MOST_LIKELY, 0.9999, chance)
    assert compare(outcome, acted, risk, chance, cluster) == found
    assert found is not None
    assert found.treated == (acted & (chance <= MOST_LIKELY)).sum() < acted.sum()


def test_everybody_or_nobody_acted_on_is_no_comparison() -> None:
    outcome, acted, risk, chance, cluster = drawn()
    for everybody in (np.ones_like(acted), np.zeros_like(acted)):
        assert compare(outcome, everybody, risk, chance, cluster) is None
    # All those acted on are of a kind that always is.
    assert compare(outcome, acted, risk, np.where(acted, 0.95, 0.2), cluster) is None


def simulated(effect: float, *, seed: int, wrong: str = "") -> tuple[Comparison, float]:
    """Compare on rows whose truth is known, with the risk or the chance spoilt."""
    rng = np.random.default_rng(seed)
    worry = rng.normal(0, 1, 4000)
    risk, chance = expit(worry - 2.0), expit(worry - 1.0)
    acted = rng.random(4000) < chance
    helped = expit(worry - 2.0 + effect)
    outcome = (rng.random(4000) < np.where(acted, helped, risk)).astype(float)
    told_risk = np.full(4000, risk.mean()) if wrong == "risk" else risk
    told_chance = np.full(4000, chance.mean()) if wrong == "chance" else chance
    found = compare(outcome, acted, told_risk, told_chance, np.arange(4000))
    assert found is not None
    return found, float((helped - risk)[acted].mean())


@pytest.mark.parametrize("wrong", ["", "risk", "chance"])
def test_one_of_the_two_is_enough(wrong: str) -> None:
    pairs = [simulated(-0.8, seed=seed, wrong=wrong) for seed in range(40)]
    off = [found.effect - true for found, true in pairs]
    naive = [found.naive - true for found, true in pairs]
    assert abs(np.mean(off)) < 0.004 < 0.1 < np.mean(naive)


@pytest.mark.parametrize("effect", [0.0, -0.8])
def test_errors_are_as_large_as_they_claim(effect: float) -> None:
    hit = []
    for seed in range(150):
        found, true = simulated(effect, seed=seed)
        ratio = math.log1p(true / found.without)
        hit.append(abs(found.log_ratio - ratio) <= 1.645 * found.error)
    assert 0.84 <= np.mean(hit) <= 0.97


def test_a_mean_difference_is_that_of_like_rows() -> None:
    _, acted, risk, chance, cluster = drawn(200)
    values = risk + 0.1 * acted
    values[3] = np.nan
    found, error = mean_difference(values, acted, risk, chance, cluster)
    assert found == pytest.approx(0.1)
    assert error == pytest.approx(0.0, abs=1e-12)
    nothing = np.full(200, np.nan)
    assert np.isnan(mean_difference(nothing, acted, risk, chance, cluster)).all()
