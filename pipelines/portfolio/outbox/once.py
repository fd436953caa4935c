"""Handing something over at most once: what the ledger says before it, and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.portfolio.outbox.ledger import Ledger, Record, State
from pipelines.project.delivery.http import TryError

BEFORE, NOW, NOTHING_NEW, FAILED, UNCERTAIN = (
    "sent before",
    "sent",
    "nothing new",
    "failed",
    "uncertain",
)


@dataclass(frozen=True)
class Sent:
    """What became of one message on one way.

    Parameters
    ----------
    owner : str or None
        Whose accounts it tells of; None for everybody's.
    way : {"mail", "webhook", "command"}
        How.
    became : str
        "sent", "sent before", "nothing new", "failed" or "uncertain".
    why : str
        What went wrong, in a sentence without a full stop; empty where nothing did.
    """

    owner: str | None
    way: str
    became: str
    why: str = ""


@dataclass(frozen=True)
class Delivery:
    """A message to somebody.

    Parameters
    ----------
    owner : str or None
        Whose accounts it tells of; None for everybody's.
    way : {"mail", "webhook", "command"}
        How it goes.
    book : str
        Whose book, and by which way to whom, without the scores.
    key : str
        The same for the same scores, book, way and address.
    """

    owner: str | None
    way: str
    book: str
    key: str


def hand_over(
    ledger: Ledger,
    delivery: Delivery,
    told: Sequence[str],
    send: Callable[[], None],
    *,
    hint: str,
    again: bool = False,
) -> Sent:
    """Send a message unless it was sent before, or may have been.

    A line of the ledger says that it is being sent before anything is: whatever ends the process,
    nothing is sent twice. Where it is certain that nothing arrived, the next run tries again.

    Parameters
    ----------
    ledger : Ledger
        What was sent so far, held.
    delivery : Delivery
        What is sent.
    told : sequence of str
        What it tells, by key.
    send : callable
        Sends it, or raises :class:`TryError`.
    hint : str
        What to do where it may have arrived.
    again : bool
        Whether to send what may have arrived once more.
    """
    state = ledger.state_of(delivery.key)
    if state == "sent":
        return Sent(delivery.owner, delivery.way, BEFORE)
    if state == "sending" and not again:
        why = (
            f"an earlier run was stopped while it sent this by {delivery.way}, so it may have"
            f" arrived; {hint}"
        )
        return Sent(delivery.owner, delivery.way, UNCERTAIN, why)

    def note(what: State) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        ledger.add(Record(delivery.key, what, at, delivery.book, tuple(told)))

    note("sending")
    try:
        send()
    except TryError as error:
        if not error.is_certain:
            return Sent(delivery.owner, delivery.way, UNCERTAIN, str(error))
        note("failed")
        return Sent(delivery.owner, delivery.way, FAILED, str(error))
    note("sent")
    return Sent(delivery.owner, delivery.way, NOW)
