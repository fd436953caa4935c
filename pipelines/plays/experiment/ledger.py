"""The ledger of assignments: one line for each draw, never changed, each line sealing the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from features.json_values import JsonReady
from pipelines.project.records.chain import Chain

FILE_NAME = "experiments.jsonl"


@dataclass(frozen=True)
class Assignment(JsonReady):
    """One account of an experiment.

    Parameters
    ----------
    account_id : str
        Which one.
    left_alone : bool
        Whether it is to be left alone.
    stratum : str
        Accounts that it was drawn among.
    risk : float
        Probability of churn in the outcome window when it was drawn.
    owner : str or None
        Who looked after it.
    """

    account_id: str
    left_alone: bool
    stratum: str
    risk: float
    owner: str | None


@dataclass(frozen=True)
class Draw(JsonReady):
    """Accounts that were assigned at once.

    Parameters
    ----------
    experiment : str
        Its name.
    as_of : date
        Date of the scores; what comes of the accounts counts from here.
    drawn_at : datetime
        When, in UTC.
    model_version : str
        Of the scores.
    share : float
        With which probability an account was left alone.
    seed : int
        Of the draw, which can be made again from it.
    assignments : tuple of Assignment
        In order of account.
    """

    experiment: str
    as_of: date
    drawn_at: datetime
    model_version: str
    share: float
    seed: int
    assignments: tuple[Assignment, ...]


class Ledger(Chain[Draw]):
    """A file with a line for each draw."""

    KIND = Draw
    WHY = "an experiment whose assignments were changed proves nothing"

    def draws(self, experiment: str | None = None) -> list[Draw]:
        """Read the draws, of one experiment or of all, oldest first.

        Raises
        ------
        StoreError
            When the file cannot be read, or a line was changed, taken out or put in.
        """
        return [draw for draw in self.entries() if experiment in (None, draw.experiment)]


def owners_of_both(assignments: Sequence[Assignment]) -> int:
    """Count the owners who look after accounts of both arms, and may treat them alike."""
    arms: dict[str, set[bool]] = {}
    for one in assignments:
        if one.owner is not None:
            arms.setdefault(one.owner, set()).add(one.left_alone)
    return sum(len(seen) > 1 for seen in arms.values())
