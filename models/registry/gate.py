"""The gate: whether a challenger is no worse than the champion on rows that neither has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.catalog import EVERYBODY
from features.errors import sample
from features.json_values import JsonReady
from features.outcomes.settings import WORDS, OutcomeWords
from models.drift.policy import PromotionRules
from models.measures.estimate import Estimate
from models.measures.metrics import row_log_loss
from models.measures.recalibration import Recalibration, recalibrate
from models.measures.resampling import AccountBootstrap

RESAMPLES = 500
# Fewer say nothing at all of which of two models is ahead.
FIRST_OUTCOMES = 5


@dataclass(frozen=True)
class GateComparison:
    """Champion and challenger on one set of rows.

    Attributes
    ----------
    segment : str
        "all" or a segment.
    rows, accounts, outcomes : int
        Size of the set, and how often the outcome happened.
    champion_log_loss, challenger_log_loss : float
        In nats per row.
    difference, low, high : float
        Challenger minus champion as a share of the champion's log loss, and its 90 % interval over
        accounts (paired: both speak about the same accounts in each draw).
    tolerance : float
        What ``high`` may be.
    observed_rate, champion_rate, challenger_rate : float
        What happened, and what each expected.
    champion, challenger : Recalibration
        Calibration in the large and slope.
    failings : tuple of str
        What speaks against the challenger here, one sentence each.
    """

    segment: str
    rows: int
    accounts: int
    outcomes: int
    champion_log_loss: float
    challenger_log_loss: float
    difference: float
    low: float
    high: float
    tolerance: float
    observed_rate: float
    champion_rate: float
    challenger_rate: float
    champion: Recalibration
    challenger: Recalibration
    failings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict(JsonReady):
    """Whether a challenger may be promoted.

    Attributes
    ----------
    promoted : bool
        Whether it passed.
    reasons : list of str
        Why, or why not, one sentence each.
    judged : list of GateComparison
        All rows first, then each large segment; empty where nothing could be judged.
    """

    promoted: bool
    reasons: list[str]
    judged: list[GateComparison]


def judge_challenger(
    rows: pd.DataFrame,
    rules: PromotionRules | None = None,
    *,
    words: OutcomeWords = WORDS["churn"],
    seed: int = 0,
    is_first: bool = False,
) -> Verdict:
    """Compare a challenger with the champion, row by row, overall and in every large segment.

    It passes where the upper bound of the interval of the difference in log loss stays within the
    tolerance (a test of non-inferiority; Blackwelder 1982, "Proving the null hypothesis in
    clinical trials") and the lower bound is not above zero, so that what is shown to be worse
    never passes, however little worse it is. Calibration in the large and the slope must not be
    off by more than chance and further off than the champion's. Accounts are drawn with all their
    rows (cluster bootstrap).

    Parameters
    ----------
    rows : DataFrame of n rows
        ``account_id``, ``segment``, ``happened`` (0 or 1), and the probabilities ``champion`` and
        ``challenger``, of rows that neither had seen.
    rules : PromotionRules or None
        What has to be shown.
    words : OutcomeWords
        How people speak of the outcome.
    seed : int
        Of the bootstrap.
    is_first : bool
        Whether the champion is a first model, which outcomes were too few to prove: what has seen
        more of them follows it with fewer judged outcomes, where it is not behind on them.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.beta(1, 9, 4000)
    >>> rows = pd.DataFrame({
    ...     "account_id": np.arange(4000), "segment": "all",
    ...     "happened": (rng.random(4000) < risk).astype(int),
    ...     "champion": risk.mean(), "challenger": risk,
    ... })
    >>> judge_challenger(rows).promoted
    True
    >>> judge_challenger(rows.assign(champion=risk, challenger=risk.mean())).promoted
    False
    """
    rules = rules or PromotionRules()
    if is_first:
        fewest = min(FIRST_OUTCOMES, rules.min_outcomes)
        rules = rules.model_copy(update={"min_outcomes": fewest})
    refused = _unusable(rows, rules, words)
    if refused is not None:
        return Verdict(False, [refused], [])
    judged = [_judged(part, name, rules, words, seed) for name, part in _parts(rows, rules)]
    if is_first:
        judged[0] = replace(judged[0], failings=tuple(_behind(judged[0], words)))
    failings = [sentence for part in judged for sentence in part.failings]
    if failings:
        return Verdict(False, failings, judged)
    whole, segments = judged[0], judged[1:]
    if is_first:
        follows = f"{_where(whole, words)} {_difference(whole)}: it follows the first model."
        return Verdict(True, [follows], judged)
    said = [f"{_where(whole, words)} {_difference(whole)}: it is no worse, and well calibrated."]
    if segments:
        named = sample([part.segment for part in segments], limit=5)
        said.append(f"Nor is it worse in a large segment by itself: {named}.")
    return Verdict(True, said, judged)


def _unusable(rows: pd.DataFrame, rules: PromotionRules, words: OutcomeWords) -> str | None:
    """Say why rows cannot be judged by; None where they can."""
    outcomes = int(rows["happened"].sum())
    fewest = min(outcomes, len(rows) - outcomes)
    if fewest < rules.min_outcomes:
        rarer = words.past if fewest == outcomes else f"have not {words.past}"
        return (
            f"Of the {len(rows):,} newest rows that neither model has seen, {fewest:,} {rarer}, "
            f"and judging needs {rules.min_outcomes:,} at least: wait until more outcomes have "
            "matured."
        )
    risk = rows["challenger"].to_numpy(dtype=float, na_value=np.nan)
    wrong = int((~((risk >= 0) & (risk <= 1))).sum())
    if wrong:
        return f"The challenger gives no probability for {wrong:,} of {len(rows):,} rows."
    return None


def _parts(rows: pd.DataFrame, rules: PromotionRules) -> Iterator[tuple[str, pd.DataFrame]]:
    yield EVERYBODY, rows
    groups = list(rows.groupby("segment", sort=True))
    # A single segment is everybody, who have been judged.
    for name, part in groups if len(groups) > 1 else []:
        outcomes = int(part["happened"].sum())
        enough = min(outcomes, len(part) - outcomes) >= rules.segment_outcomes
        if enough and len(part) >= rules.segment_rows:
            yield str(name), part


def _judged(
    rows: pd.DataFrame, segment: str, rules: PromotionRules, words: OutcomeWords, seed: int
) -> GateComparison:
    outcome = rows["happened"].to_numpy(dtype=float)
    champion, challenger = (rows[name].to_numpy(dtype=float) for name in ("champion", "challenger"))
    bootstrap = AccountBootstrap(rows["account_id"], seed=seed, resamples=RESAMPLES)
    losses = [row_log_loss(outcome, risk) for risk in (champion, challenger)]
    scale = float(losses[0].mean())
    low, high = bootstrap.mean_interval(losses[1] - losses[0])
    part = GateComparison(
        segment=segment,
        rows=len(rows),
        accounts=bootstrap.count,
        outcomes=int(outcome.sum()),
        champion_log_loss=scale,
        challenger_log_loss=float(losses[1].mean()),
        difference=float((losses[1] - losses[0]).mean()) / scale,
        low=low / scale,
        high=high / scale,
        tolerance=rules.tolerance if segment == EVERYBODY else rules.segment_tolerance,
        observed_rate=float(outcome.mean()),
        champion_rate=float(champion.mean()),
        challenger_rate=float(challenger.mean()),
        champion=recalibrate(outcome, champion, bootstrap.cluster),
        challenger=recalibrate(outcome, challenger, bootstrap.cluster),
    )
    return replace(part, failings=tuple(_failings(part, rules, words)))


def _failings(part: GateComparison, rules: PromotionRules, words: OutcomeWords) -> Iterator[str]:
    where = _where(part, words)
    if part.low > 0:
        yield f"{where} {_difference(part)}, which is more than chance explains."
    elif part.high > part.tolerance:
        yield (
            f"{where} {_difference(part)}; promotion needs {_percent(part.tolerance)} at most to "
            "be sure that it is no worse."
        )
    ours, theirs = part.challenger, part.champion
    allowed = rules.calibration_tolerance
    if ours.offset.excludes(0) and _far(ours.offset) - _far(theirs.offset) > allowed:
        yield (
            f"{where} the challenger expects {_percent(part.challenger_rate, 2)} on average and "
            f"{_percent(part.observed_rate, 2)} {words.past}, which is more than chance explains; "
            f"the champion is nearer with {_percent(part.champion_rate, 2)}."
        )
    if ours.slope.excludes(1) and _factor(ours.slope) - _factor(theirs.slope) > allowed:
        bold = "too bold" if ours.slope.is_below(1) else "too timid"
        yield (
            f"{where} the challenger's probabilities are {bold} (slope {ours.slope.value:.2f}, "
            f"where 1 is right), more than chance explains; the champion is nearer with "
            f"{theirs.slope.value:.2f}."
        )


def _behind(part: GateComparison, words: OutcomeWords) -> Iterator[str]:
    """Say where a challenger is behind a first model, by however little."""
    if part.difference > 0:
        yield (
            f"{_where(part, words)} {_difference(part)}; a first model is followed by one that is"
            " not behind it."
        )


def _far(offset: Estimate) -> float:
    return float("inf") if offset.value is None else abs(offset.value)


def _factor(slope: Estimate) -> float:
    """How far a factor is from one; beyond all bounds where it points the wrong way."""
    factor = slope.value
    return abs(float(np.log(factor))) if factor is not None and factor > 0 else float("inf")


def _where(part: GateComparison, words: OutcomeWords) -> str:
    happened = f"{part.outcomes:,} of which {words.past}"
    if part.segment == EVERYBODY:
        return f"On {part.rows:,} rows that neither model has seen, {happened},"
    # Somebody else's words: control characters are escaped, long ones cut.
    return f"In segment {sample([part.segment])} ({part.rows:,} rows, {happened})"


def _difference(part: GateComparison) -> str:
    return (
        f"the challenger's prediction error (log loss) is {_relative(part.difference)} the "
        f"champion's, by chance between {_relative(part.low)} and {_relative(part.high)}"
    )


def _relative(share: float) -> str:
    return f"{_percent(abs(share))} {'above' if share > 0 else 'below'}"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
