"""What the weights report says of weights: a headline, what to change, and why."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.reports.labels import labels_of
from pipelines.reports.segments import segment_words
from pipelines.reports.wording import UNKNOWN, amount, between, count, name, percent, score

if TYPE_CHECKING:
    from pipelines.weights.recommend import Recommended

if TYPE_CHECKING:
    from models.scorecard.advice import Advice, Extremes, SegmentAdvice
    from pipelines.weights.recommend import Effect, Recommended

# Rates closer than this are the same to anybody who has to act on them.
ALIKE = 1.15
MOST_TIMES = 10
VERDICTS = {"raise": "Raise", "lower": "Lower", "keep": "Keep"}


def shown_segments(recommended: Recommended) -> list[str]:
    """Segments to speak of: one that is everybody is not told twice."""
    segments = recommended.segments
    return segments if len(segments) > 2 else [EVERYBODY]


def segment_name(segment: str) -> Markup:
    """Write what a segment is called."""
    return Markup("All accounts") if segment == EVERYBODY else name(segment_words(segment))


def more(low: float | None, high: float | None) -> str:
    """Write an interval of a difference.

    Examples
    --------
    >>> more(4.2, 29), more(-3, 20), more(-5, -2), more(0, 0), more(-0.1, 49)
    ('between 4.2 and 29 more', 'between 3 fewer and 20 more', 'between 5 and 2 fewer',
     'no more and no fewer', 'between 0.1 fewer and 49 more')
    """
    if low is None or high is None:
        return "how many is not known"
    first, last = amount(abs(low)), amount(abs(high))
    if first == last == "0":
        return "no more and no fewer"
    if low >= 0 or first == "0":
        return f"between {first} and {last} more"
    if high <= 0 or last == "0":
        return f"between {first} and {last} fewer"
    return f"between {first} fewer and {last} more"


def headline(recommended: Recommended) -> str:
    """Say in one sentence what to do."""
    noun, past = recommended.words
    segments = shown_segments(recommended)
    advice = [recommended.advice[segment] for segment in segments]
    changed = [one for one in advice if one.changes]
    if not recommended.foretells:
        return (
            "Keep every weight: there is not enough evidence yet that what accounts do predicts"
            f" {noun}"
        )
    if not changed:
        if any(one.enough_evidence for one in advice):
            return f"Keep every weight: past {noun} gives no good reason to change one"
        return "Keep every weight: there is not enough evidence to change one"
    if len(segments) == 1:
        lines = advice[0].advice
        moved = sum(line.verdict != "keep" for line in lines)
        change = f"Change {moved} of the {len(lines)} weights"
    else:
        own = [one for one in changed if one.segment != EVERYBODY]
        change = f"Change weights in {len(own)} of {len(segments) - 1} segments"
        if len(own) == len(segments) - 1:
            change = f"Change weights in all {len(own)} segments"
        if not own:
            change = "Change the weights that all accounts share"
    effect = recommended.effects[EVERYBODY]
    if effect.more.value is None or effect.happened <= 0:
        return change
    colour = "green" if recommended.good else "red"
    gain = (
        f"of the {count(effect.cases)} that {past} on the replayed dates,"
        f" {count(effect.cases_caught)} instead of {count(effect.cases_caught_today)} would have"
        f" been {colour} in time{_of_all(effect, colour)}"
    )
    if effect.more.is_above(0):
        return f"{change}: {gain}"
    if effect.more.value > 0:
        return f"{change}: {gain}, though that gain is not certain yet"
    return f"{change}: past {noun} asks for it, though it would not yet have found more accounts"


def _of_all(effect: Effect, colour: str) -> str:
    """Say how many accounts have the colour, exactly: as many as today, or how many instead."""
    if effect.flagged is None or effect.flagged_today is None:
        return ""
    now, today = percent(effect.flagged), percent(effect.flagged_today)
    if now == today:
        return f", with as many accounts {colour} as today ({now})"
    return f", with {now} of accounts {colour} instead of {today}"


def changes_of(advice: SegmentAdvice) -> Markup:
    """List what to do in a segment: the largest change first, what is kept in one word."""
    moving = [line for line in advice.advice if line.verdict != "keep"]
    if not moving:
        return Markup("{} {}").format(verdict("keep"), _why_all_kept(advice))
    moving.sort(key=lambda line: -abs(line.recommended - line.today))
    told = [
        Markup(
            '<li>{} {} <span class="nowrap">{} → <strong>{}</strong> ({} to {})</span></li>'
        ).format(
            verdict(line.verdict),
            name(line.measure),
            score(line.today),
            score(line.recommended),
            count(line.low),
            count(line.high),
        )
        for line in moving
    ]
    kept = len(advice.advice) - len(moving)
    if kept:
        rest = "the other one as it is" if kept == 1 else f"the other {kept} as they are"
        told.append(Markup("<li>{} {}</li>").format(verdict("keep"), rest))
    return Markup('<ul class="changes">{}</ul>').format(Markup("").join(told))


def _why_all_kept(advice: SegmentAdvice) -> str:
    if not advice.enough_evidence:
        return "all: not enough evidence to change one"
    if any(line.why == "no better in its replay" for line in advice.advice):
        return "all: replayed on dates of its own, other weights found no more"
    if any(line.why == "not enough evidence" for line in advice.advice):
        return "all: outcomes do not speak against them clearly enough"
    return "all: they are as outcomes ask for"


def verdict(word: str) -> Markup:
    """Write what to do, with a mark of its own."""
    return Markup('<span class="verdict {}">{}</span>').format(word, VERDICTS[word])


def largest_reason(advice: SegmentAdvice, past: str, good: bool) -> Markup | str:
    """Say why, for the largest change that outcomes ask for."""
    asked = [line for line in advice.advice if line.why == "learnt"]
    if not asked:
        return f"Learnt from {count(advice.positives)} accounts that {past}"
    line = max(asked, key=lambda one: abs(one.recommended - one.today))
    return Markup("Why {} {}: {}").format(
        "more" if line.verdict == "raise" else "less",
        name(line.measure),
        reason(line, past, good),
    )


def pointed_to(line: Advice) -> str:
    """Write what outcomes alone say of a weight."""
    return between(line.low, line.high, count)


def reason(line: Advice, past: str, good: bool) -> str:
    """Say why a weight changes or stays."""
    told = _told_by(line.extremes, past, good)
    sentence = told[:1].upper() + told[1:]
    if line.why == "no data":
        return "No data: no table tells of it, so it moves no score."
    if line.why == "not enough evidence":
        return f"Not enough evidence to change it. {sentence}."
    if line.why == "as it should be":
        return f"Outcomes ask for about as much. {sentence}."
    if line.why == "no better in its replay":
        return f"Replayed on its own dates, another weight found no more. {sentence}."
    if line.why == "makes room":
        side = "Takes what others give" if line.verdict == "raise" else "Gives to those that rise"
        return f"{side}. {sentence}."
    than = "more" if line.verdict == "raise" else "less"
    return f"{sentence}. Beside the other measures it tells {than} than its weight says."


def _told_by(extremes: Extremes | None, past: str, good: bool) -> str:
    """Compare the worst graded accounts with the best, in words.

    The worst are compared with the best where the outcome is bad news, else the other way round.
    """
    if extremes is None:
        return "nothing is known of it"
    worst, best = extremes.worst, extremes.best
    first, second = (best, worst) if good else (worst, best)
    ends = ("best", "worst") if good else ("worst", "best")
    often, seldom = first["observed_rate"], second["observed_rate"]
    rates = f"({percent(often)} against {percent(seldom)})"
    who = f"accounts in the {ends[0]} fifth {past}"
    if often == seldom == 0:
        return f"no account in the {ends[0]} or the {ends[1]} fifth {past}"
    if seldom == 0:
        return (
            f"of the accounts in the {ends[0]} fifth {percent(often)} {past}, of those in the"
            f" {ends[1]} none"
        )
    ratio = often / seldom
    if 1 / ALIKE < ratio < ALIKE:
        return f"{who} about as often as those in the {ends[1]} {rates}"
    if ratio < 1:
        return f"{who} less often than those in the {ends[1]} {rates}"
    # Beyond that the smaller rate rests on too few accounts to say how much more.
    times = f"{ratio:.1f}" if ratio < MOST_TIMES else f"more than {MOST_TIMES}"
    return f"{who} {times} times as often as those in the {ends[1]} {rates}"


def gain_of(effect: Effect | None) -> Markup:
    """Write how many more accounts a segment would catch in a year, at this rate."""
    if effect is None or effect.more.value is None:
        return Markup("not known")
    span = Markup('<span class="nowrap">({} to {})</span>').format(
        signed(effect.more.low, amount), signed(effect.more.high, amount)
    )
    return Markup("<strong>{}</strong> {}").format(signed(effect.more.value, amount), span)


def signed(number: float | None, write: Callable[[float], str]) -> str:
    """Write a difference with its sign.

    Examples
    --------
    >>> signed(24.3, amount), signed(-4.86, amount), signed(0.0, amount), signed(None, amount)
    ('+24', '−4.9', '0', 'not known')
    """
    if number is None or math.isnan(number):
        return UNKNOWN
    shown = write(abs(number))
    return shown if shown == "0" else f"{'−' if number < 0 else '+'}{shown}"


def signal_labels(recommended: Recommended) -> dict[str, str]:
    """Label each signal, and where others have the same label, say what sets it apart."""
    signals = {signal.name: signal for signal in recommended.model.signals}
    signals |= {signal.name: signal for note in recommended.measures for signal in note.signals}
    signals |= {one.signal.name: one.signal for one in recommended.behaviours}
    return labels_of(signals.values())
