"""What is written of an account, and how far it was written."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from features.errors import RegistryError
from features.json_values import JsonReady
from pipelines.portfolio.worklist.calls import SAID, sentences
from pipelines.portfolio.worklist.facts import NOTHING
from pipelines.portfolio.worklist.reasons import reasons_of
from pipelines.store.issued import reasons_note

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

Mark = tuple[str, str, int]
Value = str | float | None
REASONS = (
    *("account_id", "probability_if_due"),
    *("reason_signals", "reason_points", "reason_values"),
)
LONGEST = 1000


@dataclass(frozen=True)
class Written(JsonReady):
    """What is written of one account; of one that is gone, nothing but that.

    Parameters
    ----------
    account_id : str
        Which one.
    kind : {"new", "changed", "gone"}
        What became of it since it was last told.
    as_of : str
        Date of the scores.
    score : float or None
        As issued, from 0 to 100: how the account stands at a decision about its contract.
    probability : float or None
        As issued, from 0 to 1: chance within the outcome window, whether a decision falls into it
        or not.
    probability_if_due : float or None
        Chance had the account to decide now: what the score is made of.
    band, segment : str or None
        As issued.
    change : float or None
        Points since the run that was told before.
    reasons : str
        The largest reasons, in sentences.
    """

    account_id: str
    kind: str
    as_of: str
    score: float | None = None
    band: str | None = None
    probability: float | None = None
    probability_if_due: float | None = None
    segment: str | None = None
    change: float | None = None
    reasons: str = ""

    def value(self, field: str) -> Value:
        """Return what is written of one kind."""
        told: dict[str, Value] = {
            "kind": self.kind,
            "as_of": self.as_of,
            "score": None if self.score is None else round(self.score, 2),
            "band": self.band,
            "probability": _rounded(self.probability),
            "probability_if_due": _rounded(self.probability_if_due),
            "segment": self.segment,
            "change": None if self.change is None else round(self.change, 2),
            "reasons": self.reasons or None,
        }
        return told[field]


@dataclass(frozen=True)
class Cursor:
    """How far was written.

    Parameters
    ----------
    since : Mark or None
        The run that is written whole.
    until : Mark or None
        The run whose difference from it is being written; None between two.
    after : str or None
        The last account of it.
    """

    since: Mark | None = None
    until: Mark | None = None
    after: str | None = None

    def text(self) -> str:
        """Write it as a text."""
        return json.dumps([self.since, self.until, self.after])

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Read it again.

        Raises
        ------
        ValueError
            When it is none.
        """
        since, until, after = json.loads(text)
        return cls(_mark_in(since), _mark_in(until), after)


def _mark_in(raw: object) -> Mark | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or len(raw) != len(("as_of", "version", "revision")):
        raise ValueError
    return str(raw[0]), str(raw[1]), int(raw[2])


def mark_of(run: Run) -> Mark:
    """Return what names a run of an outcome."""
    return run.key.as_of.isoformat(), run.key.model_version, run.revision


def read_rows(
    project: Project,
    store: ScoreStore,
    runs: tuple[Run | None, Run],
    *,
    after: str | None,
    size: int,
    accounts: Sequence[str] | None = None,
    but: Collection[str] = (),
) -> tuple[list[Written], str | None]:
    """Read what is to be written, in order of account.

    Parameters
    ----------
    project : Project
        The configuration, of the outcome.
    store : ScoreStore
        Open.
    runs : pair of Run
        The run that was written, None for nothing, and the one to write.
    after : str or None
        Begin after this account.
    size : int
        Most accounts.
    accounts : sequence of str, optional
        These alone.
    but : collection of str
        Names that stand for what was erased, which nobody is told of.

    Returns
    -------
    rows : list of Written
        What is to be written.
    last : str or None
        The last account that was looked at, where there may be more.
    """
    before, run = runs
    rows = store.changes(before, run, after=after, size=size, accounts=accounts).to_pylist()
    last = rows[-1]["account_id"] if len(rows) == size else None
    held = [row["account_id"] for row in rows if row["kind"] != "gone"]
    told = store.scores(run, accounts=held, columns=REASONS).read_all().to_pylist()
    why = {row["account_id"]: row for row in told}
    model, as_of, let_go = (
        _model_of(project, run),
        run.key.as_of.isoformat(),
        reasons_note(store.erasures(), run),
    )
    written = [
        _written(row, why.get(row["account_id"]), model, as_of, let_go)
        for row in rows
        if row["account_id"] not in but
    ]
    return written, last


def _written(
    row: Mapping[str, object],
    why: Mapping[str, object] | None,
    model: HealthModel | None,
    as_of: str,
    let_go: str | None,
) -> Written:
    bare = Written(str(row["account_id"]), str(row["kind"]), as_of)
    if why is None:
        return bare
    score, before = _number(row["score"]), _number(row["score_before"])
    said = let_go or "; ".join(sentences(reasons_of(model, why)[:SAID], NOTHING))
    return replace(
        bare,
        score=score,
        band=str(row["band"]),
        probability=_number(row["probability"]),
        probability_if_due=_number(why["probability_if_due"]),
        segment=str(row["segment"]),
        change=None if score is None or before is None else score - before,
        reasons=said[:LONGEST],
    )


def _rounded(chance: float | None) -> float | None:
    return None if chance is None else round(chance, 6)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _model_of(project: Project, run: Run) -> HealthModel | None:
    """Return what made the scores, whose words reasons are said in."""
    try:
        return project.registry.version(run.key.model_version).model
    except RegistryError:
        return None
