"""Calls: the rows of a worklist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from models.scoring.scale import BANDS
from pipelines.portfolio.worklist.facts import GROUPS, LONG_AGO, NOTHING, Facts
from pipelines.portfolio.worklist.reasons import Reason, reasons_of

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project

SAID = 3
WELL = BANDS[-1]
"""Accounts in this band need no play."""


@dataclass(frozen=True)
class Call:
    """An account to call: who it is, what is at stake, why, and what to do.

    Parameters
    ----------
    account_id, segment, band : str
        Which account, and how it was scored.
    name, owner : str or None
        What people call it, and who looks after it, where that is known.
    score, probability : float
        Its score, and the chance of the outcome.
    change : float or None
        Points that the score moved by since the run before; None where there was none of it.
    arr : float or None
        Twelve times its MRR.
    renewal : date or None
        When its contract renews next, as far as was known on the date.
    sentences : list of str
        Reasons that can be acted on, with what they are about by name.
    play : str or None
        What the configuration does about the largest of them that it has an answer to.
    """

    account_id: str
    name: str | None
    segment: str
    score: float
    band: str
    probability: float
    arr: float | None
    sentences: list[str]
    play: str | None = None
    owner: str | None = None
    change: float | None = None
    renewal: date | None = None

    @property
    def stake(self) -> float | None:
        """Probability times ARR."""
        return None if self.arr is None else self.probability * self.arr

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        renewal = None if self.renewal is None else self.renewal.isoformat()
        return asdict(self) | {"stake": self.stake, "renewal": renewal}


def call_of(
    project: Project, model: HealthModel | None, row: Mapping[str, Any], facts: Facts = NOTHING
) -> Call:
    """Make the call of an account.

    Parameters
    ----------
    project : Project
        The configuration, for its plays.
    model : HealthModel or None
        What made the score; without it reasons have the names of their signals.
    row : mapping
        The columns of :data:`~pipelines.store.schema.SCORE_SCHEMA`, ``arr``, and as far as they
        are known ``name``, ``owner``, ``change`` and ``renewal``; ``let_go`` says why there are no
        reasons.
    facts : Facts
        What the reasons are about.
    """
    reasons = reasons_of(model, row)
    answers: Iterable[str | None] = (
        () if row["band"] == WELL else (reason.play(project) for reason in reasons)
    )
    return Call(
        account_id=row["account_id"],
        name=row.get("name"),
        segment=row["segment"],
        score=float(row["score"]),
        band=row["band"],
        probability=float(row["probability"]),
        arr=row["arr"],
        sentences=[row["let_go"]] if row.get("let_go") else sentences(reasons[:SAID], facts),
        play=next((answer for answer in answers if answer), None),
        owner=row.get("owner"),
        change=row.get("change"),
        renewal=row.get("renewal"),
    )


def sentences(reasons: Iterable[Reason], facts: Facts) -> list[str]:
    """Say reasons, each fact by name beside the first reason that it belongs to."""
    told: list[str] = []
    named: set[str] = set()
    for reason in reasons:
        kind = GROUPS.get(reason.group or "", "")
        is_told = kind in named or not reason.answered or reason.signal in LONG_AGO
        about = "" if is_told else facts.of(reason.group)
        named |= {kind} if about else set()
        told.append(f"{reason.sentence} ({about})" if about else reason.sentence)
    return told
