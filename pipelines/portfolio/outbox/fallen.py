"""Accounts that fell into a band since the run before, told once to whom ``[alert]`` names."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from features.errors import HealthscoreError
from features.json_values import JsonReady
from models.scoring.scale import BANDS, GOOD_BANDS
from pipelines.dashboard.snapshot.changes import why_moved
from pipelines.monitor.alert import deliver
from pipelines.portfolio.outbox.book import opened_book
from pipelines.portfolio.outbox.ledger import delivery_of, opened_ledger
from pipelines.portfolio.outbox.once import (
    FAILED,
    NOTHING_NEW,
    UNCERTAIN,
    Delivery,
    Sent,
    hand_over,
)
from pipelines.portfolio.worklist.ranking import ranked_by
from pipelines.project.delivery.http import TryError
from pipelines.project.records.calls import call_book
from pipelines.reports.freshness import freshness_of
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import day, money, plural
from pipelines.store.runs import now

if TYPE_CHECKING:
    from features.json_values import Json
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project
    from pipelines.project.settings.alert import AlertSettings

MOST, SAID = 50, 10
"""Most accounts of a message, and of those that its text names."""
LONGEST_NAME = 120
SNOOZED = "snoozed"


@dataclass(frozen=True)
class Fallen(JsonReady):
    """An account that fell into a band.

    Parameters
    ----------
    account_id, name, owner : str or None
        Which one, what people call it, and who looks after it.
    band, band_before : str
        Where it is, and where it was in the run before.
    score, score_before : float
        From 0 to 100.
    arr, expected_loss : float or None
        Money of a year, and that times the chance; None where no MRR is known.
    renewal : date or None
        When its contract renews next.
    why : str
        What moved its score most.
    """

    account_id: str
    name: str | None
    owner: str | None
    band: str
    band_before: str
    score: float
    score_before: float
    arr: float | None
    expected_loss: float | None
    renewal: date | None
    why: str


@dataclass(frozen=True)
class BandAlert:
    """What is told of a run.

    Parameters
    ----------
    outcome, as_of, since, model_version
        Which scores, and those they are beside.
    is_new_model : bool
        Whether another version of the model made the scores before.
    outdated : str or None
        What the clock says, where the scores are not of today.
    accounts : list of Fallen
        The largest first.
    """

    outcome: str
    as_of: date
    since: date
    model_version: str
    is_new_model: bool
    outdated: str | None
    accounts: list[Fallen]

    @property
    def sentence(self) -> str:
        """Say how many fell into which band, and what they are worth."""
        parts = []
        for band in dict.fromkeys(one.band for one in self.accounts):
            within = [one for one in self.accounts if one.band == band]
            arr = sum(one.arr or 0.0 for one in within)
            worth = f", ARR {money(arr)}" if any(one.arr is not None for one in within) else ""
            parts.append(f"{plural(len(within), 'account')} fell into {band}{worth}")
        model = "; another version of the model scored them before" if self.is_new_model else ""
        return f"Since {day(self.since)}: {'; '.join(parts)}{model}"

    def to_dict(self) -> Json:
        """Return the message: at most 50 accounts, and a text that Slack and its like show."""
        lines = [self.sentence, *([f"Not of today. {self.outdated}"] if self.outdated else [])]
        for one in self.accounts[:SAID]:
            named = plain(one.name or one.account_id, LONGEST_NAME)
            whose = f", {plain(one.owner, LONGEST_NAME)}" if one.owner else ""
            moved = f"{one.score_before:.1f} → {one.score:.1f}"
            lines.append(f"• {named}{whose}: {moved}" + (f"; {one.why}" if one.why else ""))
        return {
            "kind": "bands",
            # Nothing in it begins a mention or a link.
            "text": escape("\n".join(plain(line, 400) for line in lines), quote=False),
            "sentence": self.sentence,
            "outcome": self.outcome,
            "as_of": self.as_of.isoformat(),
            "since": self.since.isoformat(),
            "model_version": self.model_version,
            "is_new_model": self.is_new_model,
            "outdated": self.outdated,
            "accounts": [one.to_dict() for one in self.accounts[:MOST]],
            "left_out": max(0, len(self.accounts) - MOST),
        }


@dataclass(frozen=True)
class Alerted:
    """What became of an alert: a line for each way, and what to think about."""

    sent: list[Sent]
    said: list[str]
    warnings: list[str]


def alert_of_bands(project: Project, as_of: date) -> Alerted:
    """Tell of accounts that fell into a band of ``[alert] bands`` in the newest run.

    A band is kept until a score has left it for good, so that who crosses a limit for a day is not
    told. Who was told of the same band within ``mute_days``, and who is snoozed, is not told
    either. Nothing is raised: scores that were issued do not depend on who hears of them.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    as_of : date
        Date of the run that was issued; where a later one is there, it is not news.
    """
    settings, wanted = project.settings.alert, _bands_of(project)
    if not wanted:
        return Alerted([], [], [])
    try:
        with opened_book(project) as book:
            newest = book.run.key.as_of
            if newest != as_of:
                said = f"Nobody was told of bands: scores of {day(newest)} are newer"
                return Alerted([], [said], [])
            if book.contents.since is None:
                return Alerted([], [], [])
            alert = fallen_since(project, book, wanted)
        sent = _told(project, settings, alert, book.run.revision)
    except (HealthscoreError, OSError) as error:
        return Alerted([], [], [f"Accounts that fell into a band were not told: {error}"])
    lines = [f"Alert by {one.way}: {one.became}" for one in sent]
    return Alerted(sent, lines, [one.why for one in sent if one.became in (FAILED, UNCERTAIN)])


def _bands_of(project: Project) -> list[str]:
    """List the bands that are told, the worst first; those of other outcomes are not."""
    bands = GOOD_BANDS if project.settings.outcome.is_good else BANDS
    return [band for band in bands if band in project.settings.alert.bands]


def fallen_since(project: Project, book: Snapshot, wanted: Sequence[str]) -> BandAlert:
    """List who came into some bands from a band after them, and is not snoozed.

    Parameters
    ----------
    project : Project
        The configuration, of the book's outcome.
    book : Snapshot
        The newest run beside the one before, which must be there.
    wanted : sequence of str
        Bands, the worst first.
    """
    bands = GOOD_BANDS if project.settings.outcome.is_good else BANDS
    since, key = book.contents.since, book.run.key
    assert since is not None
    standings = call_book(project.folder).standings(now().date())
    accounts = []
    for band in wanted:
        after = bands[bands.index(band) + 1 :]
        better = ", ".join("?" * len(after))
        rows = book.ask(
            f"select * from accounts where band = ? and band_before in ({better})"
            f" order by {ranked_by(has_money=book.has_money)} desc nulls last, account_id",
            [band, *after],
        )
        for row in rows:
            standing = standings.get(row["account_id"])
            is_asleep = standing is not None and standing.state == SNOOZED
            if not is_asleep and row["account_id"] not in book.contents.erased:
                accounts.append(_fallen(book, row))
    return BandAlert(
        outcome=key.outcome,
        as_of=key.as_of,
        since=since.key.as_of,
        model_version=key.model_version,
        is_new_model=since.key.model_version != key.model_version,
        outdated=freshness_of(project.settings.outcome, key.as_of).note,
        accounts=accounts,
    )


def _fallen(book: Snapshot, row: Mapping[str, object]) -> Fallen:
    told = book.told(dict(row))
    return Fallen(
        account_id=told["account_id"],
        name=told["name"],
        owner=told["owner"],
        band=told["band"],
        band_before=told["band_before"],
        score=told["score"],
        score_before=told["score_before"],
        arr=told["arr"],
        expected_loss=told["stake"],
        renewal=told["renewal"],
        why=why_moved(book.model, told),
    )


def _told(project: Project, settings: AlertSettings, alert: BandAlert, revision: int) -> list[Sent]:
    """Hand the alert over on each way, each without what was told on it before."""
    ways = {
        "webhook": settings.model_copy(update={"command": ()}) if settings.webhook else None,
        "command": settings.model_copy(update={"webhook": None}) if settings.command else None,
    }
    run = (alert.as_of.isoformat(), alert.model_version, str(revision))
    results = []
    with opened_ledger(project.folder / project.settings.digest.ledger) as ledger:
        for way, one_way in ways.items():
            if one_way is None:
                continue
            book = delivery_of("bands", alert.outcome, way)
            delivery = Delivery(None, way, book, delivery_of(book, *run))
            own = _unmuted(alert, ledger.told(book, delivery.key), settings.mute_days)
            if not own.accounts and ledger.state_of(delivery.key) in (None, FAILED):
                results.append(Sent(None, way, NOTHING_NEW))
                continue
            body = json.dumps(own.to_dict(), allow_nan=False).encode()
            keys = [_key(one, alert.as_of) for one in own.accounts[:MOST]]
            send = partial(_send, one_way, body, delivery.key)
            results.append(
                hand_over(ledger, delivery, keys, send, hint="it is not sent again; look there")
            )
    return results


def _send(settings: AlertSettings, body: bytes, key: str) -> None:
    failures = deliver(settings, body, key, at_most_once=True)
    if failures:
        raise TryError(failures[0].said, is_certain=failures[0].is_certain)


def _key(one: Fallen, as_of: date) -> str:
    return f"{one.band}:{one.account_id}:{as_of.isoformat()}"


def _unmuted(alert: BandAlert, told: Collection[str], mute_days: int) -> BandAlert:
    """Leave out who was told of the same band not long ago."""
    muted = set()
    for key in told:
        name, _, said = key.rpartition(":")
        if alert.as_of - date.fromisoformat(said) < timedelta(days=mute_days):
            muted.add(name)
    kept = [one for one in alert.accounts if f"{one.band}:{one.account_id}" not in muted]
    return replace(alert, accounts=kept)
