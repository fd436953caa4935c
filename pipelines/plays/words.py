"""What plays do, in words that decide something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.catalog import EVERYBODY
from features.errors import sample
from pipelines.reports.segments import segment_words
from pipelines.reports.wording import count, percent, plural

if TYPE_CHECKING:
    from models.plays.result import PlayEffect, PlayResult
    from models.plays.savable import Trial
    from pipelines.plays.effects import PlaysReport
    from pipelines.plays.savable import SavableFirst

STANDINGS = {
    "savable": "can be saved",
    "sure thing": "stay anyway",
    "lost cause": "are as good as lost",
    "better left alone": "are better left alone",
    "no evidence": "are of segments where no play was shown to help",
}
ALL_ACCOUNTS, OTHERS = "all accounts", "the smaller segments"
VERDICTS = {
    "helps": "helps",
    "harms": "harms",
    "not enough evidence": "not enough evidence",
    "no comparison": "nothing to compare with",
}


def base_of(effects: list[PlayEffect]) -> int:
    """Choose of how many accounts to speak, so that the smallest interval shows a whole account."""
    widest = max((max(abs(one.low), abs(one.high)) for one in effects), default=1.0)
    return 100 if widest >= 0.01 else 1000


def range_words(low: float, high: float, base: int) -> str:
    """Say an interval of a difference in churn.

    Examples
    --------
    >>> range_words(-0.09, -0.03, 100), range_words(0.01, 0.02, 100)
    ('3 to 9 of 100 fewer churn', '1 to 2 of 100 more churn')
    >>> range_words(-0.04, 0.01, 100)
    'between 4 of 100 fewer and 1 of 100 more churn'
    """
    least, most = (_accounts(abs(end), base) for end in (low, high))
    if low < 0 < high:
        return f"between {least} of {base:,} fewer and {most} of {base:,} more churn"
    near, far = sorted([abs(low), abs(high)])
    span = f"{_accounts(near, base)} to {_accounts(far, base)}"
    return f"{span} of {base:,} {'fewer' if high <= 0 else 'more'} churn"


def _accounts(share: float, base: int) -> str:
    number = share * base
    return f"{number:.1f}" if 0 < round(number, 1) < 1 else f"{number:.0f}"


def places(found: PlayResult) -> list[tuple[str, PlayEffect]]:
    """Name all accounts and, where there are any, each segment, with the effect there."""
    if found.everywhere is None:
        return []
    told = [(ALL_ACCOUNTS, found.everywhere)]
    if [one.segment for one in found.segments] == [EVERYBODY]:
        return told
    # Segments too small for a word of their own are read together.
    return told + [(segment_words(one.segment, OTHERS), one) for one in found.segments]


def sentence(effect: PlayEffect, report: PlaysReport, where: str = "") -> str:
    """Say what a play does in one sentence."""
    within = f"within {plural(report.within_days, 'day')} of the score's date"
    place = f" for {where}" if where else ""
    said = f"{effect.play} {within}{place}: "
    if effect.verdict == "no comparison":
        return (
            f"{said}nothing to compare with; {percent(1 - effect.overlap, 0)} of those acted on are"
            " of a kind that is nearly always acted on"
        )
    span = range_words(effect.low, effect.high, base_of([effect]))
    return f"{said}{span}" + (
        "; not enough evidence" if effect.verdict == "not enough evidence" else ""
    )


def trial_words(trial: Trial) -> str:
    """Say what an experiment settled.

    Examples
    --------
    >>> from models.plays.savable import Trial
    >>> trial_words(Trial("call", (), 0.2, -0.05, -0.08, -0.02))
    'By an experiment call helps: 2 to 8 of 100 fewer churn'
    """
    verdict = VERDICTS["harms" if trial.low > 0 else "helps"]
    where = " and ".join(map(segment_words, trial.segments))
    place = f" in {where}" if where else ""
    span = range_words(trial.low, trial.high, 100)
    return f"By an experiment {trial.play} {verdict}{place}: {span}"


def settling(found: PlayResult) -> str:
    """Say what would settle what is open, or nothing."""
    if found.everywhere is None:
        return ""
    told = places(found)
    open_ones = [
        (place, one) for place, one in (told[1:] or told) if one.verdict == "not enough evidence"
    ]
    if not open_ones:
        return ""
    known = [(place, one) for place, one in open_ones if one.more_needed is not None]
    if not known:
        return (
            "More of the same would not settle it: who gets it is chosen too much by risk; leave a"
            " few accounts alone on purpose and compare"
        )
    if not any(one.more_needed for _, one in known):
        return (
            "A change by a fifth of the churn would have shown by now; a smaller one may be there"
        )
    least, place = min((one.more_needed, place) for place, one in known if one.more_needed)
    where = "" if place == ALL_ACCOUNTS else f" for {place}"
    return f"About {count(least)} more would settle it{where}"


def headline(report: PlaysReport) -> str:
    """Say what was found of all plays."""
    told = [play for play in report.plays if play.everywhere is not None]
    tried = {one.play: "harms" if one.low > 0 else "helps" for one in report.trials}
    if not report.plays and not tried:
        return "Nobody acted within the days after a date"
    if not told and not tried:
        return "Not enough was done to compare"
    names = {play.play for play in told} | tried.keys()
    shown = {
        verdict: {play.play for play in told if _any(play, verdict) and play.play not in tried}
        | {play for play, settled in tried.items() if settled == verdict}
        for verdict in ("helps", "harms")
    }
    parts = [f"{len(shown['helps'])} of {plural(len(names), 'play')} shown to prevent churn"]
    if shown["harms"]:
        parts.append(f"{len(shown['harms'])} shown to do harm")
    return ", ".join(parts)


def _any(play: PlayResult, verdict: str) -> bool:
    return any(one.verdict == verdict for one in (play.everywhere, *play.segments) if one)


def calls_words(first: SavableFirst) -> str:
    """Say by what accounts to call are ranked."""
    if first.by_evidence:
        return (
            "The order is ARR expected to be kept per hour of the owner's time: what a play was"
            " shown to do, times what is at stake"
        )
    return (
        "No play was shown to help yet, so the order is the expected loss: the probability times"
        " the ARR, which is not what a call keeps"
    )


def standing_words(first: SavableFirst) -> str:
    """Say how many accounts a call would be wasted on, as far as that is known."""
    said = [
        f"{count(first.standings[standing])} {words}"
        for standing, words in STANDINGS.items()
        if first.standings.get(standing)
    ]
    return ", ".join(said) + idle_words(first)


def idle_words(first: SavableFirst) -> str:
    """Say which hours are spent on nobody, or nothing."""
    if not first.idle:
        return ""
    return (
        f"; [owners.capacity] has hours of {sample(first.idle, 8)}, with none of these accounts:"
        " whoever took them over is given as many hours as it takes"
    )


def doubts(found: PlayResult) -> list[str]:
    """List what speaks for and against believing a play's effect, one sentence each."""
    whole = found.everywhere
    if whole is None:
        return [f"Not enough to compare: {found.why_not}"]
    said = [
        f"Compared are {count(whole.treated)} dates on which an account was given it with as good"
        f" as {count(whole.controls)} on which a like account was left alone;"
        f" {percent(whole.overlap, 0)} of those given it have such like accounts",
        _unseen(whole),
    ]
    if found.with_others:
        others = plural(found.with_others, "more date")
        said.append(f"{others} had another play too and count for nothing")
    placebo = found.placebo
    if placebo is not None:
        span = f"{percent(placebo.low, 2)} to {percent(placebo.high, 2)}"
        said.append(
            f"Its effect on the risk one date earlier, where it can have none, is {span}: as it"
            " should be"
            if placebo.passes
            else f"It seems to change the risk of one date earlier, by {span}, which it cannot: who"
            " gets it differs in what nobody recorded, so nothing is claimed"
        )
    return said


def _unseen(whole: PlayEffect) -> str:
    if whole.verdict not in ("helps", "harms"):
        return "Unseen reasons for acting could explain what is seen"
    return (
        "To explain what is sure of it away, an unseen reason would have to make both the play and"
        f" churn {whole.unseen_reason_for_certainty:.1f} times as likely, beside all signals"
    )
