"""The view of an account at once: its issued score, what it means and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from features.catalog import GROUPS
from pipelines.dashboard.snapshot.schema import MONEY
from pipelines.portfolio.words import stake_words
from pipelines.portfolio.worklist.calls import WELL, sentences
from pipelines.portfolio.worklist.reasons import fact_of, reasons_of
from pipelines.reports.wording import (
    band_kept,
    band_limits,
    between,
    count,
    money,
    percent,
    score,
    spell,
    usual_words,
)
from pipelines.scoring.explain import renewal_words
from pipelines.store.schema import SHOWN

if TYPE_CHECKING:
    from datetime import date

    from features.catalog import Signal
    from features.outcomes.settings import OutcomeSettings
    from models.scoring.health_model import HealthModel
    from pipelines.portfolio.worklist.facts import Facts
    from pipelines.project.project import Project

LEAST_POINTS = 0.05
"""Points that are written as 0.0 are not told apart from none."""


@dataclass(frozen=True)
class ReasonLine:
    """One stored reason.

    Parameters
    ----------
    signal, group : str
        Which signal; the group is empty where the model is not at hand.
    points : float
        What it does to the score.
    value : str or None
        What was known of it, as text.
    sentence : str
        The same in words.
    play : str or None
        What the configuration does about it, where it costs points.
    """

    signal: str
    group: str
    points: float
    value: str | None
    sentence: str
    play: str | None


@dataclass(frozen=True)
class AccountView:
    """One account of a snapshot.

    Parameters
    ----------
    row : dict
        Its issued score, in the columns of :data:`~pipelines.store.schema.SCORE_SCHEMA`, ``arr``
        and ``stake``.
    name : str or None
        What people call it, where that is known.
    attributes : dict
        Who looks after it, its lifecycle stage, and what else the accounts table says of it.
    groups : dict of str to float
        Points per signal group that moves the score; they add up from the baseline to the score.
    reasons : list of ReasonLine
        The stored ones, largest first.
    meaning : str
        What became of accounts in its band.
    limits : str
        Which scores lie in which band; empty where the model is not at hand.
    window : str
        Which days the chance is of, in words.
    timing : str or None
        When the contract renews, where the score tells it apart.
    money : list of (str, float)
        What is known of its money: what, and how much.
    interval : (float, float) or None
        90 % interval of its probability; None where the model is not at hand or knows none.
    kept : str or None
        Why its band is not that of its score; None where it is.
    usual : str or None
        Which risk at a decision scores 50; None where it is the same for everybody.
    """

    row: dict[str, Any]
    name: str | None
    attributes: dict[str, Any]
    groups: dict[str, float]
    reasons: list[ReasonLine]
    meaning: str
    limits: str
    window: str
    timing: str | None
    money: list[tuple[str, float]]
    interval: tuple[float, float] | None = None
    kept: str | None = None
    usual: str | None = None

    @property
    def called(self) -> str:
        """Its name, or its id where it has none."""
        return self.name or str(self.row["account_id"])

    @property
    def plays(self) -> list[str]:
        """What to do, most telling first; nothing where all is well."""
        if self.row["band"] == WELL:
            return []
        return list(dict.fromkeys(line.play for line in self.reasons if line.play))


def account_view(
    project: Project, row: Mapping[str, Any], model: HealthModel | None, as_of: date
) -> AccountView:
    """Arrange a row of a snapshot.

    Parameters
    ----------
    project : Project
        The configuration, of the snapshot's outcome.
    row : mapping
        See :meth:`pipelines.dashboard.snapshot.snapshot.Snapshot.account`.
    model : HealthModel or None
        What made the score; without it, reasons are named by their signals alone.
    as_of : date
        The run's date.
    """
    held = {name: row[name] for name in (*SHOWN, *MONEY)}
    points = {group: float(held[f"points_{group}"]) for group in GROUPS}
    return AccountView(
        row=held,
        name=row["name"],
        attributes={
            **{name: row[name] for name in ("owner", "lifecycle") if row[name] is not None},
            **row["attributes"],
        },
        groups={group: gained for group, gained in points.items() if abs(gained) >= LEAST_POINTS},
        reasons=_reasons(project, held, model),
        meaning=band_meaning(project, held["band"], model),
        limits="" if model is None else band_limits(model.scale),
        window=window_words(project.settings.outcome),
        timing=_timing(held, as_of, model),
        money=_money(project, held),
        interval=_interval(held, model),
        kept=None if model is None else band_kept(model.scale, held["band"], held["score"]),
        usual=None if model is None else _usual(held, model),
    )


def named_reasons(view: AccountView, model: HealthModel | None, facts: Facts) -> list[str]:
    """Say the stored reasons as the worklist does: of one fact once, and what it is about by name.

    Who the account is, and what speaks for it, stand among them.

    Parameters
    ----------
    view : AccountView
        The account.
    model : HealthModel or None
        What made the score.
    facts : Facts
        What the reasons are about.
    """
    acted = reasons_of(model, view.row)
    named = dict(zip((one.signal for one in acted), sentences(acted, facts), strict=True))
    known = {fact_of(name) for name in named}
    good = model is not None and model.scale.good
    return [
        named.get(line.signal, line.sentence)
        for line in view.reasons
        if line.signal in named or (line.points > 0) != good or fact_of(line.signal) not in known
    ]


def _usual(row: Mapping[str, Any], model: HealthModel) -> str | None:
    return usual_words(model.scale, row["score"], row["probability_if_due"])


def _interval(row: Mapping[str, Any], model: HealthModel | None) -> tuple[float, float] | None:
    import pandas as pd

    from models.scoring.issued import issued_intervals

    found = None if model is None else issued_intervals(model, pd.DataFrame([row]))
    return None if found is None else (float(found[0][0]), float(found[1][0]))


def window_words(outcome: OutcomeSettings) -> str:
    """Say which days the probability of an outcome is of."""
    last = outcome.lead_days + outcome.horizon_days
    return f"from day {outcome.lead_days} to {last}" if outcome.lead_days else f"within {last} days"


def _timing(row: Mapping[str, Any], day: date, model: HealthModel | None) -> str | None:
    ahead = row["days_to_renewal"]
    if model is None or model.timing is None or ahead is None or ahead < 0:
        return None
    return renewal_words(ahead, day)


def band_meaning(project: Project, band: str, model: HealthModel | None) -> str:
    """Say what became of accounts that were in a band on dates the model had not seen."""
    if model is None:
        return "What became of accounts like this cannot be told: its model cannot be loaded"
    outcome = project.settings.outcome
    found = next((one for one in model.bands if one["band"] == band), None)
    rates = [found[end] or 0.0 for end in ("low", "high", "observed_rate")] if found else []
    standing = "on watch" if band == "watch" else band
    if found is None or not found["rows"]:
        return f"No account was {standing} on the dates that judged the model"
    # Where nothing has a date there is no telling within how long.
    days = f" {window_words(outcome)}" if model.maturity_days else ""
    decided = " and had to decide" if model.timing is not None else ""
    sure = between(100 * rates[0], 100 * rates[1], lambda number: f"{number:.0f}")
    return (
        f"Of 100 accounts that were {standing}{decided} on dates the model had not seen,"
        f" {100 * rates[2]:.0f} {outcome.words.past}{days} ({sure})"
    )


def _reasons(
    project: Project, row: Mapping[str, Any], model: HealthModel | None
) -> list[ReasonLine]:
    signals = {} if model is None else {signal.name: signal for signal in model.signals}
    plays, is_good = project.settings.plays, project.settings.outcome.is_good
    found = []
    stored = zip(row["reason_signals"], row["reason_points"], row["reason_values"], strict=True)
    for name, points, value in stored:
        signal = signals.get(name)
        group = signal.group if signal is not None else ""
        # Plays answer what is wrong, and the reasons of a good outcome are what is right.
        play = plays.play_for(name, group) if points < 0 and not is_good else None
        found.append(
            ReasonLine(name, group, float(points), value, _said(name, signal, value, points), play)
        )
    return found


def _said(name: str, signal: Signal | None, value: str | None, points: float) -> str:
    from models.scoring.reasons import sentence

    if signal is None:
        told = f"{points:+.1f}".replace("-", "−")
        return f"{name} ({'not known' if value is None else value}): {told} points"
    return sentence(signal, value, points)


def _money(project: Project, row: Mapping[str, Any]) -> list[tuple[str, float]]:
    named = {"ARR": "arr", stake_words(project.settings.outcome).stake: "stake"}
    return [(what, float(row[name])) for what, name in named.items() if row[name] is not None]


def key_figures(view: AccountView, noun: str) -> list[tuple[str, str | Markup, str]]:
    """List what stands at the top: what it is, the figure, and what it means."""
    row = view.row
    band = Markup('<span class="band {0}">{0}</span>').format(row["band"])
    found: list[tuple[str, str | Markup, str]] = [
        ("Health score", Markup("{} {}").format(score(row["score"]), band), _since(row, view)),
        (f"Chance of {noun}", percent(row["probability"]), _sure(view)),
    ]
    if view.timing is not None and row["probability_if_due"] is not None:
        risk = percent(row["probability_if_due"])
        found.append(("Had it to decide", risk, f"{noun}, {view.window}, what the score tells"))
    found += [(what, money(amount), _money_words(what, row["mrr"])) for what, amount in view.money]
    found.append(
        ("Share of signals known", percent(row["coverage"], 0), "by their weight in the score")
    )
    return found


def _money_words(what: str, mrr: float | None) -> str:
    return f"a year; {money(mrr)} a month" if what == "ARR" else "chance times ARR"


def _sure(view: AccountView) -> str:
    if view.interval is None:
        return view.window
    low, high = (100 * bound for bound in view.interval)
    return f"{view.window}; {between(low, high, '{:.1f} %'.format)} (90 % interval)"


def _since(row: Mapping[str, Any], view: AccountView) -> str:
    lasted = f"{row['band']} for {spell(row['band_days'])}; " if row["band_days"] else ""
    told = (view.limits or "from 0 to 100", view.usual, view.kept)
    return lasted + "; ".join(part for part in told if part)


def rank_words(share: float, healthy: str) -> str:
    """Say where an account stands among others.

    Parameters
    ----------
    share : float
        Share of the others that have less, from 0 to 1.
    healthy : str
        "higher", "lower" or "none".

    Examples
    --------
    >>> rank_words(0.72, "higher"), rank_words(0.72, "lower"), rank_words(0.72, "none")
    ('healthier than 72 of 100', 'healthier than 28 of 100', 'higher than 72 of 100')
    """
    if healthy == "none":
        return f"higher than {count(100 * share)} of 100"
    healthier = share if healthy == "higher" else 1 - share
    return f"healthier than {count(100 * healthier)} of 100"
