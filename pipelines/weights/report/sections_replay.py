"""Sections of the weights report on what weights would have done, and on points per behaviour."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.reports.pieces import Figure, Section, Table, Text
from pipelines.reports.wording import (
    THIN,
    amount,
    count,
    day,
    money,
    name,
    percent,
    plural,
    score,
    share,
)
from pipelines.weights.report.words import more, segment_name, shown_segments, signal_labels, signed
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY

if TYPE_CHECKING:
    from features.catalog import Signal
    from models.scorecard.behaviour_points import Behaviour
    from pipelines.weights.recommend import Recommended

Line = Mapping[Hashable, float]
Lines = Mapping[tuple[str, str], Line]

CONTENDERS = {
    TODAY: "Today's weights",
    RECOMMENDED: "Recommended weights",
    FULL_MODEL: "Health score",
}


def replay_section(recommended: Recommended) -> Section:
    """Tell what today's weights, the recommended ones and the full model would have done."""
    from pipelines.reports.figures.weights import caught_plot

    lines = _lines(recommended)
    names = {segment: str(segment_name(segment).striptags()) for segment in _drawn(recommended)}
    colour = "green" if recommended.good else "red"
    past = recommended.words.past
    parts: list[Table | Figure | Text] = [
        Text(
            f"Replayed are {day(recommended.replayed_from)} to {day(recommended.replayed_until)}."
            " So that nobody judges with hindsight, the recommended weights here are those that"
            f" would have been recommended from the dates up to {day(recommended.taught_until)}"
            " alone; they may differ a little from those on the first page, which are learnt from"
            " every date. All turn about as many accounts red and green as today's weights: who"
            " finds more does not simply call more accounts."
        )
    ]
    if lines:
        parts.append(
            Figure(
                [("", caught_plot(recommended.replayed, names, past, "caught"))],
                f"Of the accounts that {past}, how many were {colour} at the time. Further right is"
                " better; where bars overlap much, the difference may be chance.",
            )
        )
    parts += [
        _contenders(recommended, lines),
        *([_by_segment(recommended, lines)] if len(names) > 1 else []),
        _moves(recommended, list(names)),
        _cuts(recommended),
    ]
    return Section(
        "replay", "What would these weights have done?", _answer(recommended, lines), parts
    )


def _drawn(recommended: Recommended) -> list[str]:
    told = set(recommended.replayed.table["segment"])
    return [segment for segment in shown_segments(recommended) if segment in told]


def _lines(recommended: Recommended) -> Lines:
    """Lines of the replay by segment and contender, where anything happened."""
    table = recommended.replayed.table
    rows = table.drop(columns=["segment", "contender"]).to_dict("records")
    keys = zip(table["segment"], table["contender"], strict=True)
    return {key: row for key, row in zip(keys, rows, strict=True) if row["positives"]}


def _answer(recommended: Recommended, lines: Lines) -> str:
    noun, past = recommended.words
    if (EVERYBODY, TODAY) not in lines:
        return f"No account {past} on the replayed dates, so there is nothing to compare."
    told = {one: lines[EVERYBODY, one] for one in (TODAY, RECOMMENDED, FULL_MODEL)}
    return f"{replay_sentence(told, noun, good=recommended.good)}."


def replay_sentence(told: Mapping[str, Mapping[Any, Any]], noun: str, *, good: bool) -> str:
    """Say what today's weights, the recommended ones and the health score itself saw in time.

    Parameters
    ----------
    told : mapping of str to mapping
        A line of the replay of each of them.
    noun : str
        How people speak of the outcome.
    good : bool
        Whether it is good news.
    """
    today, advised, model = told[TODAY], told[RECOMMENDED], told[FULL_MODEL]
    colour = "green" if good else "red"
    low, high = advised["caught_ahead_low"], advised["caught_ahead_high"]
    sure = (
        "more than chance explains"
        if low > 0
        else "fewer than chance explains"
        if high < 0
        else "a difference that may be chance"
    )
    seen, then = percent(today["caught"], 0), percent(advised["caught"], 0)
    weights = (
        f"today's weights and the recommended ones were {colour} in {seen}"
        if seen == then
        else f"today's weights were {colour} in {seen}, the recommended ones in {then} ({sure})"
    )
    return (
        f"Of {count(today['positives'])} cases of {noun}, {weights}, and the health score itself"
        f" in {percent(model['caught'], 0)}"
    )


def _with_interval(row: Line, field: str, digits: int = 0) -> Markup:
    return share(row[field], row[f"{field}_low"], row[f"{field}_high"], digits)


def _contender(found: str) -> str:
    return CONTENDERS.get(found) or name(found)


def _contenders(recommended: Recommended, lines: Lines) -> Table:
    flag = "green" if recommended.good else "red"
    noun = recommended.words.noun
    here = {contender: row for (segment, contender), row in lines.items() if segment == EVERYBODY}
    has_arr = any(not math.isnan(row["caught_arr"]) for row in here.values())
    has_early = any(row["early_events"] for row in here.values())
    rows = []
    for contender, row in here.items():
        cells = [_contender(contender), _with_interval(row, "caught")]
        if has_arr:
            cells.append(_with_interval(row, "caught_arr"))
        if has_early:
            cells.append(_with_interval(row, "early"))
        cells += [
            _with_interval(row, "auc", 1),
            f"{row['top_decile_lift']:.1f} ({row['top_decile_lift_low']:.1f} to"
            f" {row['top_decile_lift_high']:.1f})",
            percent(row["red"]),
            percent(row["green"]),
        ]
        rows.append(cells)
    return Table(
        "All accounts, with 90 % intervals. Pairs ranked right (AUC): of two accounts, one with"
        f" {noun} and one without, how often the score tells them apart; 50 % is chance. First"
        f" tenth: how many times the average rate of {noun} is found among the tenth of the"
        " accounts that the score puts first.",
        [
            "Weights",
            f">Seen {flag}",
            *([f">ARR seen {flag}"] if has_arr else []),
            *([">Red 90 days before"] if has_early else []),
            ">Pairs ranked right",
            ">First tenth",
            ">Red",
            ">Green",
        ],
        rows,
    )


def _by_segment(recommended: Recommended, lines: Lines) -> Table:
    flag = "green" if recommended.good else "red"
    contenders = list(dict.fromkeys(contender for _, contender in lines))
    rows = [
        [
            segment_name(segment),
            count(lines[segment, TODAY]["positives"]),
            *(_with_interval(lines[segment, contender], "caught") for contender in contenders),
        ]
        for segment in _drawn(recommended)
        if (segment, TODAY) in lines
    ]
    return Table(
        f"Share that was {flag} in time, by segment, with 90 % intervals.",
        [
            "Segment",
            f">Cases of {recommended.words.noun}",
            *(f">{CONTENDERS.get(contender, contender)}" for contender in contenders),
        ],
        rows,
    )


def _moves(recommended: Recommended, segments: list[str]) -> Table:
    moves = recommended.replayed.moves
    moves = moves[moves["contender"] == RECOMMENDED].set_index("segment")
    rows = []
    for segment in segments:
        row = moves.loc[segment].to_dict()
        kinds = ("moved", "to_red", "from_red", "to_green", "from_green")
        rows.append(
            [
                segment_name(segment),
                count(row["accounts"]),
                *(_moved(row[kind], row[f"{kind}_arr"]) for kind in kinds),
            ]
        )
    newest = day(recommended.replayed_until)
    with_arr = ", with their ARR" if moves["arr"].notna().any() else ""
    return Table(
        f"Accounts whose colour the recommended weights change, on {newest}{with_arr}.",
        [
            "Segment",
            ">Accounts",
            ">Change colour",
            ">Turn red",
            ">Leave red",
            ">Turn green",
            ">Leave green",
        ],
        rows,
    )


def _moved(accounts: float, arr: float) -> str:
    if math.isnan(arr):
        return count(accounts)
    return f"{count(accounts)} ({money(arr)})"


def _cuts(recommended: Recommended) -> Table:
    return Table(
        "Where a score turns red and green. Recommended weights give other scores, so the cuts move"
        " with them.",
        ["Weights", ">Red below", ">Green from"],
        [
            [_contender(contender), score(cut.red_below), score(cut.green_from)]
            for contender, cut in recommended.replayed.cuts.items()
        ],
    )


def points_section(recommended: Recommended) -> Section | None:
    """Tell what behaviours are worth, for teams that add up points; None where nothing is."""
    behaviours = recommended.behaviours
    if not behaviours:
        return None
    noun = recommended.words.noun
    labels = signal_labels(recommended)
    rows = [
        [
            name(labels[one.signal.name]),
            str(one.most),
            Markup('<ul class="facts">{}</ul>').format(
                Markup().join(_worth(one.signal, behaviour) for behaviour in one.behaviours)
            ),
        ]
        for one in behaviours
    ]
    return Section(
        "points",
        "What if we add up points instead?",
        "The same knowledge as a list: an account gets points for what it does,"
        f" {plural(len(behaviours), 'behaviour')} and 100 points at most.",
        [
            Table(
                f"Points per behaviour, and how often {noun} followed (90 % interval).",
                ["Behaviour", ">At most", f"Points, and rate of {noun}"],
                rows,
            )
        ],
    )


def _worth(signal: Signal, behaviour: Behaviour) -> Markup:
    return Markup("<li>{}: <strong>{}</strong>, {}</li>").format(
        _range(signal, behaviour),
        plural(behaviour.points, "point"),
        share(behaviour.observed_rate, behaviour.low, behaviour.high),
    )


def _range(signal: Signal, behaviour: Behaviour) -> str:
    """Write a range of values the way people say it."""
    low, high = behaviour.at_least, behaviour.below
    if low is None and high is None:
        return "not known"
    if signal.unit == "flag":
        return "no" if low is None else "yes"
    if low is None:
        return f"below {_edge(signal, high)}"
    if high is None:
        return f"{_edge(signal, low)} or more"
    if signal.unit == "count" and high == low + 1:
        return _edge(signal, low)
    return f"from {_edge(signal, low)} to below {_edge(signal, high)}"


def _edge(signal: Signal, value: float | None) -> str:
    from models.scoring.reasons import value_text

    if signal.unit == "change" and value is not None:
        # A fall is written as a number below 0, or ranges of falls could not be put in order.
        whole = round(100 * value)
        return f"{'−' if whole < 0 else '+' if whole else ''}{abs(whole)}{THIN}%"
    return value_text(signal, value)


def effect_figures(recommended: Recommended) -> list[tuple[str, str, str]]:
    """Key figures of the first page: what, how much, and how sure; none where nothing changes."""
    effect = recommended.effects[EVERYBODY]
    past = recommended.words.past
    if effect.more.value is None or not effect.happened:
        return []
    colour = "green" if recommended.good else "red"
    told = [
        (
            f"Accounts that {past} in a year, at this rate, and were {colour} in time",
            f"{amount(effect.caught_today)} → {amount(effect.caught)}",
            f"of {amount(effect.happened)}: {more(effect.more.low, effect.more.high)};"
            f" {count(effect.cases)} were counted",
        )
    ]
    if effect.more_arr.value is not None and effect.arr:
        low, high = (signed(end, money) for end in (effect.more_arr.low, effect.more_arr.high))
        told.append(
            (
                f"Their ARR that was {colour} in time",
                signed(effect.more_arr.value, money),
                f"of {money(effect.arr)}: between {low} and {high}",
            )
        )
    return told
